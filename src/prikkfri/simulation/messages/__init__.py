"""Messages drawn by lot: the real message centre among odd partners and every fault, and a judge at each phone."""
