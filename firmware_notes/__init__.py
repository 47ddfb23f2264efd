"""What we believe about each device, and why: notes, golden frames, models and known faults."""
