"""Words that every layer says."""

__all__ = ["plural"]


def plural(number: int, noun: str) -> str:
    """`1 request`, `2 requests`, `20,000 requests`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
