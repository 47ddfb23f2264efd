"""The HTTP surface: REST, the event stream, metrics."""
