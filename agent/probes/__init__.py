"""Probes: one file a subject; each says what was seen, or UNKNOWN and why."""
