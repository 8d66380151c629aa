"""How long a name in a token may be: of a subscriber, a package or an issuer."""

NAME_LENGTH_MAX = 64
