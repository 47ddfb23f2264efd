"""A point-of-sale terminal that is not there: an independent reading of the manuals."""
