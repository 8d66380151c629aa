"""Outcomes as they are stored: a table for each day, and all that is asked of them."""
