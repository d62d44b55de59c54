"""videval points a fleet of GPUs at a video benchmark: every question becomes a message, every answer a row."""

__version__ = "0.2.0.dev0"
