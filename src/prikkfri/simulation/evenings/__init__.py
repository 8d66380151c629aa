"""Evenings drawn by lot: a seeded world, the real assurance over it in virtual time, a judge who knows the truth."""
