"""What people do about incidents, and what rules give for them."""
