"""The messages that incidents exposed."""
