"""Incidents in memory and as they are stored."""
