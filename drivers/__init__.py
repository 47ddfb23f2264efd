"""Bytes to facts about a device, and back. Standard library and pyserial only."""
