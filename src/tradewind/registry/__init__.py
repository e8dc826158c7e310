"""Versions: pack, verify, export, and who serves."""
