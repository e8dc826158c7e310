"""Learn: split, search, score, calibrate, refit."""
