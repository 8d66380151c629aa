"""Prikkfri: television sign-in and text messages that stand when everyone comes at once."""
