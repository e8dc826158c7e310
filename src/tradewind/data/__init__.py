"""Read, guess, clean, align and keep business tables."""
