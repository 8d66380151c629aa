"""One customer: whether they were hit, what they hold and what is open; their data exported and erased."""
