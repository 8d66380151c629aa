"""Evenings that go wrong on purpose, staged in a demo: ordered in the console, played by the demo's own world."""
