"""Run the command line: python -m tradewind."""

from tradewind.cli.main import run

run()
