"""The command line: translate, never decide."""
