"""The version of this Tradewind."""

VERSION = "0.1.0"
