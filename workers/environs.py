"""Which of this process's variables its children get."""

import os
import re

__all__ = ["for_workers", "without_secrets"]

SECRET = re.compile(r"_URL$|TOKEN|PASSWORD|SECRET|_KEY$|^PG|CREDENTIAL", re.IGNORECASE)
NOT_FOR_WORKERS = re.compile(
    "CELERY_.*|TORCHELASTIC_.*|(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)"
)
"""Settings of Celery's own, and which rank of a training started the fleet."""


def for_workers() -> dict[str, str]:
    """All but what is not for a worker."""
    return {name: value for name, value in os.environ.items() if not NOT_FOR_WORKERS.fullmatch(name)}


def without_secrets() -> dict[str, str]:
    """All but passwords, tokens and addresses that may hold some: for a process that reads strangers' videos."""
    return {name: value for name, value in os.environ.items() if not SECRET.search(name)}
