"""`python -m tests.standin PLAN LOG`: says its port on standard output, and ends when standard input does."""

import asyncio
import contextlib
import os
import ssl
import sys
from pathlib import Path

from tests.standin.plan import Plan
from tests.standin.server import Server

LONGEST_HEAD = 2**20


def _context(folder: str) -> ssl.SSLContext | None:
    if not folder:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder, "cert.pem"), Path(folder, "key.pem"))
    return context


async def _serve(plan: Plan, log: Path) -> None:
    with log.open("a") as lines:
        stand_in = Server(plan, lines)
        listening = await asyncio.start_server(
            stand_in.connected, "127.0.0.1", 0, ssl=_context(plan.tls), limit=LONGEST_HEAD
        )
        sys.stdout.write(f"{listening.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        os._exit(0)  # whatever is under way: nobody is there any more


def main() -> None:
    """Serve until whoever started this is gone."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Plan.from_json(sys.argv[1]), Path(sys.argv[2])))


if __name__ == "__main__":
    main()
