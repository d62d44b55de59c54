"""Fetches datasets from the Hugging Face hub; endpoint, token and offline flag are those of its own library."""

from collections.abc import Callable
from pathlib import Path

from videval.benchmarks.published import Download
from videval.errors import DataMissing

__all__ = ["download"]


def download(one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
    """Fetch a dataset into a folder, or into the hub's cache; what is there already is not fetched again.

    Raises DataMissing when there is no network, the offline flag is set, the disk is full, or the dataset is gated.
    """
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    for repo in (one.repo, *one.also):
        try:
            return _fetch(repo, one, folder, progress)
        except GatedRepoError as error:
            raise DataMissing(
                f"{repo}: its owners ask you to accept their terms",
                hint=f"accept them at https://huggingface.co/datasets/{repo} and set HF_TOKEN",
            ) from error
        except RepositoryNotFoundError as error:
            missing = error
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise DataMissing(f"{repo}: cannot be fetched ({_short(error)})", hint=_hint(error)) from error
    names = " or ".join((one.repo, *one.also))
    raise DataMissing(f"{names}: cannot be fetched ({_short(missing)})", hint=_hint(missing)) from missing


def _fetch(repo: str, one: Download, folder: Path | None, progress: Callable[[str], None]) -> Path:
    from huggingface_hub import snapshot_download

    progress(f"fetching {repo} ({one.revision}) from the Hugging Face hub")
    return Path(
        snapshot_download(
            repo_id=repo,
            repo_type="dataset",
            revision=one.revision,
            local_dir=folder,
            allow_patterns=list(one.only) or None,
        )
    )


def _hint(error: Exception) -> str:
    if getattr(error, "errno", None) == 28:
        return "free some disk, or set VIDEVAL_DATA_ROOT (or HF_HOME) to a larger one"
    return "put the data below VIDEVAL_DATA_ROOT; or check the network, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE"


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
