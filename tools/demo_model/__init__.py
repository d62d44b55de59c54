"""Training of `Video-LLaVA-tiny`, a Video-LLaVA of 2 million parameters that answers questions about moving shapes."""
