"""Guidance: what a fault means and what to do now, as data in zh and en."""
