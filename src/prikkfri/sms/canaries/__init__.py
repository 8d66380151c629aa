"""Canaries: messages to phones of our own, sent all the time over each link, to prove that its way can be trusted."""
