"""The stand-in itself: reads requests, answers them by a plan or does not, and keeps a log."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from tests.standin.chat import Refusal, Turn, answer, chunks, models, refused, turn
from tests.standin.plan import Fault, Plan, marked
from tests.standin.wire import chunk, head, json_response, reset, response, trickle, write

__all__ = ["Server"]

PAGE = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"
ANSWERED = ("stall", "large", "trickle")
"""Faults that end in an answer."""
BROKEN = ("reset", "half-body", "stopped-stream")
"""Faults after which the connection is over."""
CHUNKED = {"Transfer-Encoding": "chunked"}
PIECES = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def is_gone(self) -> bool:
        """Whether nobody is at the other end any more."""
        return self.reader.at_eof()

    def whether(self, outcome: str) -> str:
        """What became of it, if somebody was there to the end."""
        return "gone" if self.is_gone else outcome


class Server:
    """Answers requests by a plan, and writes a line into its log when each comes and one when it ends."""

    def __init__(self, plan: Plan, log: TextIO) -> None:
        self._plan, self._log = plan, log
        self._tries = Counter[str]()
        self._count = self._running = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, for as many requests as it carries."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether another may follow on its connection."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if self._plan.max_body is not None and length > self._plan.max_body:
            await write(writer, response(413, b"<h1>Request Entity Too Large</h1>", content="text/html"))
            return False
        body = await reader.readexactly(length)
        try:
            return await self._route(lines[0].rpartition(" ")[0], headers, body, Line(reader, writer))
        except Refusal as refusal:
            await write(writer, response(refusal.status, refusal.body(), more=refusal.headers()))
            return True

    async def _route(self, asked: str, headers: Mapping[str, str], body: bytes, line: Line) -> bool:
        if self._plan.key and headers.get("authorization") != f"Bearer {self._plan.key}":
            raise Refusal(401, "Incorrect API key provided.", "invalid_api_key")
        if asked == "POST /v1/chat/completions":
            return await self._complete(body, line)
        if asked != "GET /v1/models":
            raise Refusal(404, "Not Found")
        await write(line.writer, json_response(models(self._plan)))
        return True

    async def _complete(self, body: bytes, line: Line) -> bool:
        key = hashlib.sha256(body).hexdigest()[:16]
        self._count += 1
        self._tries[key] += 1
        number, tries, outcome = self._count, self._tries[key], "gone"
        self._write(id=number, at=time.time(), key=key, tries=tries)
        self._running += 1
        try:
            outcome = await self._act(number, json.loads(body), key, tries, line)
        except Refusal as refusal:
            outcome = str(refusal.status)
            raise
        finally:
            self._running -= 1
            self._write(id=number, until=time.time(), outcome=outcome)
        return outcome not in BROKEN

    async def _act(self, number: int, body: Any, key: str, tries: int, line: Line) -> str:
        """Answer, or do what the fault is; returns how the log calls that. Raises Refusal."""
        if self._plan.streams is not None and self._running > self._plan.streams:
            raise Refusal(429, "Too many requests at once.", "rate_limit_exceeded")
        asked = turn(body, self._plan)
        fault = marked(asked.text, tries) or self._plan.drawn(key, tries)
        await asyncio.sleep(self._plan.latency)
        if fault is not None and fault.name == "stall":
            await asyncio.sleep(fault.amount_or(30))
        if line.is_gone:
            return "gone"
        if fault is None:
            await _say(line.writer, asked, answer(number, asked, None))
            return line.whether("ok")
        if (refusal := refused(fault)) is not None:
            raise refusal
        await _misbehave(line.writer, asked, answer(number, asked, fault), fault)
        return line.whether("ok") if fault.name in ANSWERED else fault.name

    def _write(self, **values: Any) -> None:
        self._log.write(json.dumps(values) + "\n")
        self._log.flush()


async def _say(writer: asyncio.StreamWriter, asked: Turn, whole: Mapping[str, Any]) -> None:
    if not asked.stream:
        await write(writer, json_response(whole))
        return
    events = [chunk(event) for event in (*chunks(whole), b"")]
    await write(writer, head(200, "text/event-stream", CHUNKED), *events)


async def _misbehave(writer: asyncio.StreamWriter, asked: Turn, whole: Mapping[str, Any], fault: Fault) -> None:
    said = json_response(whole)
    half = len(json.dumps(whole)) // 2
    match fault.name:
        case "reset":
            reset(writer)
        case "half-body":
            await write(writer, said[:-half])
        case "half-json":
            await write(writer, response(200, json.dumps(whole).encode()[:half]))
        case "html":
            await write(writer, response(200, PAGE, content="text/html"))
        case "stopped-stream":
            await write(writer, head(200, "text/event-stream", CHUNKED), chunk(chunks(whole)[0]))
        case "trickle":
            size = len(said) // PIECES + 1
            pieces = [said[at : at + size] for at in range(0, len(said), size)]
            await trickle(writer, pieces, fault.amount_or(5))
        case _:
            await _say(writer, asked, whole)
