"""Benchmarks of real roles, each on a core of its own: the message centre, and signing in."""
