"""Recorded cases: inputs, and what the reference of a benchmark makes of them. See `__main__.py`."""
