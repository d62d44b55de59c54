"""The `videval` command. Exit codes: 0 good, 1 some requests failed, 2 usage or unknown name, 3 environment,
4 incomplete."""

from videval.cli.app import main

__all__ = ["main"]
