"""What a TAB offers: names of the catalogues, and runs of the database. A TAB never complains and makes nothing."""

from contextlib import suppress

__all__ = ["benchmarks", "formats", "kinds", "models", "recipes", "runs", "states", "variants"]


def _beginning(names: list[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def benchmarks(incomplete: str) -> list[str]:
    """Benchmarks."""
    from videval.benchmarks.catalog import benchmark_names

    return _beginning(benchmark_names(), incomplete)


def variants(incomplete: str) -> list[str]:
    """Published variants of all benchmarks, and VLMEvalKit's as far as they are known."""
    from videval.benchmarks.catalog import published_variants
    from videval.models.vlmevalkit.names import kept_names

    return _beginning([*published_variants(), *kept_names()[1]], incomplete)


def models(incomplete: str) -> list[str]:
    """Models, and VLMEvalKit's as far as they are known."""
    from videval.models.catalog import model_names
    from videval.models.vlmevalkit.names import kept_names

    return _beginning([*model_names(), *kept_names()[0]], incomplete)


def recipes(incomplete: str) -> list[str]:
    """Recipes."""
    from videval.recipes import recipe_names

    return _beginning(recipe_names(), incomplete)


def kinds(incomplete: str) -> list[str]:
    """Kinds of failures, also after a comma."""
    from videval.errors import ErrorKind

    said, comma, last = incomplete.rpartition(",")
    return [f"{said}{comma}{kind.value}" for kind in ErrorKind if kind.value.startswith(last)]


def formats(incomplete: str) -> list[str]:
    """Formats of an export."""
    return _beginning(["xlsx", "tsv", "json", "jsonl", "parquet"], incomplete)


def states(incomplete: str) -> list[str]:
    """States of a run."""
    return _beginning(["active", "paused", "cancelled", "finished"], incomplete)


def runs(incomplete: str) -> list[str]:
    """Runs of the database, newest first; none if there is no database."""
    from videval.db.names import run_names
    from videval.settings import Settings

    with suppress(Exception):  # whatever is wrong is said by the command itself
        return _beginning(run_names(Settings().database), incomplete)
    return []
