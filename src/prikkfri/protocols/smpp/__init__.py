"""SMPP 3.4 (SMPP Developers Forum, issue 1.2) without I/O: PDUs, sessions, text, concatenation, receipts, times."""
