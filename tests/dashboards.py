"""Dashboard pages in a test: one dashboard a test, its database, and what a page says."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard import backend as shared
from tests.seeding import new_database
from videval.db.session import Database

__all__ = ["APP", "PAGES", "Open", "its_database", "opens_pages", "said", "settings_of_this_test", "settled", "table"]

APP = Path(__file__).parents[1] / "dashboard" / "app.py"
PAGES = ("runs", "run", "samples", "compare", "fleet")
Open = Callable[..., Any]


@pytest.fixture(autouse=True)
def settings_of_this_test() -> Iterator[None]:
    """As if each test were a dashboard of its own."""
    shared.the_settings.cache_clear()
    yield
    shared.the_settings.cache_clear()


@pytest.fixture(name="database")
def its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database with its schema that the dashboard looks at."""
    monkeypatch.setenv("VIDEVAL_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = new_database(tmp_path)
    yield made
    made.close()
    shared.backend().close()
    shared._backend.clear()  # type: ignore[attr-defined]


@pytest.fixture(name="opened")
def opens_pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a page and looks until nothing is being read any more; a page waits longer here than it does for people,
    so that on a busy machine too it shows what is in the database now."""
    monkeypatch.setattr("dashboard.backend.PATIENCE_S", 20.0)
    address = config.get_option("server.address")
    config.set_option("server.address", "127.0.0.1")

    def look(page: str, **query: str) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=60)
        at.run()
        at.switch_page(f"views/{page}.py")
        for name, value in query.items():
            at.query_params[name] = value
        return settled(at)

    yield look
    config.set_option("server.address", address)


def settled(at: AppTest) -> AppTest:
    deadline = time.monotonic() + 90
    while True:
        at.run()
        assert not at.exception, at.exception
        if not any(text.startswith(("Reading", "Decoding")) for text in [e.value for e in (*at.caption, *at.warning)]):
            return at
        assert time.monotonic() < deadline, "something is being read for ever"
        time.sleep(0.1)


def table(at: AppTest, name: str) -> pd.DataFrame:
    """A table of a page as it is shown: every cell a text."""
    shown = [json.loads(e.proto.json) for e in at.get("bidi_component") if "columns" in e.proto.json]
    found = next(t for t in shown if t["name"] == name)
    titles = [c["title"] for c in found["columns"]]
    return pd.DataFrame([[c["text"] for c in row["cells"]] for row in found["rows"]], columns=titles)


def said(at: AppTest) -> str:
    """All that a page says, without the signs that keep Markdown away."""
    kinds = (at.header, at.subheader, at.text, at.caption, at.code, at.warning, at.error, at.info)
    texts = [str(e.value) for kind in kinds for e in kind]
    texts += [f"{m.label}={m.value}" for m in at.metric] + [b.label for b in at.button]
    return "\n".join(texts).replace("\\", "")
