"""The composition root: configuration in, running roles out; the only place that sees everything."""
