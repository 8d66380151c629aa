"""Open incidents, gone through again and again."""
