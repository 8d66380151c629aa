"""Partner operators: networks of simulated phones, each an SMSC of its own, that can be made to go wrong."""
