"""The outcomes of each incident that is looked at, kept from one look to the next."""
