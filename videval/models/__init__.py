"""Model adapters and their catalog; torch and transformers are imported here only, and only when a model is loaded."""
