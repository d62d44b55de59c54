"""Benchmarks: a test set with its protocol, one page each."""
