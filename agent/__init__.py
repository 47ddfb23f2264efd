"""The terminal-side daemon: probes, rules, store, uplink and its command line."""
