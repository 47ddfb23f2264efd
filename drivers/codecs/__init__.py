"""Protocols without input or output: encode requests, decode replies."""
