"""A command among Celery's own. Celery loads it, and this package with it, before it looks for `-A workers` in the
current folder: so it finds videval's workers there too where somebody has a `workers.py`."""

import click

__all__ = ["videval"]


@click.command()
def videval() -> None:
    """Say how videval's workers are started."""
    click.echo("celery -A workers worker   (once per device)   or   videval fleet   (all devices of this machine)")
