"""What a command may do; each runs in a short-lived child with a deadline."""
