"""Run model code in jailed processes."""
