"""Benchmarks: accuracy and speed, each beside a baseline, each through the desk. `python -m benchmarks --list`."""
