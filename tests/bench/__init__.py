"""Figures of the daemon on this machine; `python -m tests.bench` prints them beside their goals."""
