"""What signin holds of one customer: told to the operator, and erased at the operator's word."""
