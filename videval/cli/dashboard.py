"""dashboard: the pages, in this process's place."""

import errno
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from videval.cli.console import say, settings_with
from videval.errors import EnvironmentProblem, UsageError

__all__ = ["dashboard_command"]

LOCAL = ("127.0.0.1", "localhost", "::1")


def _refuse_taken(host: str, port: int) -> None:
    """EnvironmentProblem if nobody can listen there, before anything is said."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f"--port {port + 1 if port < 65535 else port - 1}"
            raise EnvironmentProblem(f"port {port} of {host} is taken", hint=hint) from error
        hint = "--port 8501" if error.errno == errno.EACCES else "--host 127.0.0.1"
        raise EnvironmentProblem(f"cannot listen on {host}, port {port}: {error.strerror}", hint=hint) from error


def dashboard_command(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8501,
    allow_actions: Annotated[bool, typer.Option(help="let the page enqueue, pause, resume, cancel and retry")] = False,
) -> None:
    """Open the dashboard in the browser."""
    if host not in LOCAL and not settings_with().dashboard_password.get_secret_value():
        raise UsageError(
            f"a dashboard on {host} is open to others, and has no password",
            hint="export VIDEVAL_DASHBOARD_PASSWORD=...   (or listen on 127.0.0.1)",
        )
    _refuse_taken(host, port)
    app = Path(__file__).parents[2] / "dashboard" / "server.py"
    environ = dict(os.environ)
    if allow_actions:
        environ["VIDEVAL_DASHBOARD_ALLOW_ACTIONS"] = "1"
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(app)]
    command += ["--server.address", host, "--server.port", str(port)]
    command += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
    say(f"dashboard at http://{host}:{port}   (Ctrl-C ends it; runs go on)")
    sys.stdout.flush()
    os.execve(sys.executable, command, environ)  # in this process's place: what ends the one ends the other
