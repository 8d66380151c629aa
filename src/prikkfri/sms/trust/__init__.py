"""Trust in a route: what canaries, receipts, people and partners come to, and what is done about it."""
