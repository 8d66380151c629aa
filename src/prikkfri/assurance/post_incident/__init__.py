"""What is learnt of an incident when nobody looks at it any more."""
