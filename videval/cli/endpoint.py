"""endpoint check, and list endpoints."""

import dataclasses
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from videval.cli.console import console, say, say_json, settings_with
from videval.cli.table import Column, show_table

if TYPE_CHECKING:
    from videval.models.endpoints import Endpoint

__all__ = ["endpoint_check", "list_endpoints"]

ENDPOINTS = (
    Column(title="endpoint", kind="name"),
    Column(title="model", kind="name"),
    Column(title="transport"),
    Column(title="key"),
    Column(title="prices"),
    Column(title="address", kind="words"),
)
AsJson = Annotated[bool, typer.Option("--json", help="for scripts")]


def endpoint_check(
    name: Annotated[str, typer.Argument(help="an endpoint of endpoints.toml, or openai:MODEL")], as_json: AsJson = False
) -> None:
    """Ask an endpoint two small questions, and say what is wrong.

    Reachable, key, model, context, whether all frames arrive, largest body, usage, price; each with the line that mends
    it. Exit 3 if it could not answer a run. Keys of --json: README, "For scripts".
    """
    from videval.cli.doctor import show_finding
    from videval.cli.endpoint_findings import endpoint_findings
    from videval.models.endpoints import OPENAI, endpoint_of

    model = name if name.startswith((f"{OPENAI}:", "endpoint:")) else f"endpoint:{name}"
    endpoint, found = endpoint_of(model), []
    for finding in endpoint_findings(model, endpoint):
        found.append(finding)
        if not as_json:
            show_finding(finding)
            console.file.flush()
    is_well = all(finding.ok for finding in found)
    if as_json:
        say_json({"endpoint": endpoint.name, "ok": is_well, "findings": [dataclasses.asdict(f) for f in found]})
    if not is_well:
        raise typer.Exit(3)


def list_endpoints(as_json: AsJson = False) -> None:
    """The endpoints of endpoints.toml; a model there is endpoint:NAME."""
    from videval.models.endpoints import endpoints

    settings = settings_with()
    found = endpoints(settings)
    if as_json:
        say_json([_json(endpoint) for endpoint in found.values()])
        return
    if not found:
        say(f"no endpoints in {settings.endpoints_path} -> docs/servers.md; openai:MODEL needs no entry")
        return
    show_table(ENDPOINTS, [_row(endpoint) for endpoint in found.values()])
    say("asked as endpoint:NAME; to try one: videval endpoint check NAME")


def _row(endpoint: "Endpoint") -> list[str]:
    prices = endpoint.prices
    return [
        endpoint.name,
        endpoint.model,
        endpoint.transport,
        _key(endpoint),
        f"{prices.prompt:g} + {prices.new:g} {prices.currency}" if prices else "-",
        ", ".join(endpoint.base_urls),
    ]


def _key(endpoint: "Endpoint") -> str:
    """Whether its key is there; never the key."""
    if not endpoint.key_env:
        return "-"
    return endpoint.key_env if os.environ.get(endpoint.key_env) else f"{endpoint.key_env} is not set"


def _json(endpoint: "Endpoint") -> dict[str, Any]:
    has_key = not endpoint.key_env or bool(os.environ.get(endpoint.key_env))
    return dataclasses.asdict(endpoint) | {"has_key": has_key}
