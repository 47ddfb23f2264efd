"""The terminal-side daemon: probes, rules, store, uplink and its command line."""

VERSION = "0.1.0"
"""Of the distribution; importlib.metadata would cost the resting daemon a megabyte."""
