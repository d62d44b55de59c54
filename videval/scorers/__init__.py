"""Rule-based scorers: pure functions from what was said to a verdict."""
