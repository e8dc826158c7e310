"""The composers: one use case, one function."""
