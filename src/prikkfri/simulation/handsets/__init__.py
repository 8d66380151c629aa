"""Simulated phones behind an SMSC of their own: what a real network is to the message centre, in one small process."""
