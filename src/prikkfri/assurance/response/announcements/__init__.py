"""What those outside hear of incidents."""
