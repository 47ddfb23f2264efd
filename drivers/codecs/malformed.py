"""The one error that a decoder may raise."""


class Malformed(ValueError):
    """Bytes that are no message. At least one of them was consumed, so asking for the next message goes on."""
