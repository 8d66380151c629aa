"""The viewer role: the interface that people watch with, as static files."""
