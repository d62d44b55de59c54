"""One page for each family of benchmarks: its data, its prompts, its frames, its scores."""
