"""The simulated devices, each spelled from the tables alone."""
