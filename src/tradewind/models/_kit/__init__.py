"""Shared craft of the models: calendar, panels, intervals, trees as arrays, the sample company."""
