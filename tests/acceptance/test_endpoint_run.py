"""A run at an endpoint as a user makes it: answered, halted by a wrong key, and the key in nothing that is left."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Home
from tests.servers import wait_for
from tests.standin import Plan, StandIn, stand_in

KEY = "sk-very-secret-0123456789"
PATIENCE = 120.0


@pytest.fixture
def endpoint(home: Home, tmp_path: Path) -> Iterator[StandIn]:
    """An endpoint that wants a key, called lab."""
    with stand_in(tmp_path, Plan(key=KEY)) as server:
        entry = f'[endpoints.lab]\nbase_url = "{server.url}"\nmodel = "stand-in"\n'
        entry += 'key_env = "LAB_KEY"\ntransport = "video"\n'
        (home.folder / "home").mkdir(exist_ok=True)
        (home.folder / "home" / "endpoints.toml").write_text(entry)
        yield server


def left(folder: Path) -> Iterator[Path]:
    """All files that a run has left, but the stand-in's own."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("stand-in"))


@pytest.mark.slow
def test_a_wrong_key_halts_the_run_once_and_the_right_one_goes_on_with_it_and_is_kept_nowhere(
    home: Home, clips: list[str], endpoint: StandIn
) -> None:
    marks = ["", "[[429-after 0.1 x1]] ", "[[filter]] "]
    asked = [f"{mark}What is shown in {clip}?" for mark, clip in itertools.product(marks, clips[:2])]
    rows = [{"video": clips[n % 2], "question": q, "A": "x", "B": "y", "answer": "A"} for n, q in enumerate(asked)]
    home.run("enqueue", home.questions(rows), "endpoint:lab")
    wrong = home.worker("api", LAB_KEY=f"wrong-{KEY}")
    wait_for("the run to be halted", lambda: home.status()["state"] == "paused", PATIENCE)
    said = home.run("status").stdout
    assert "does not accept the key" in said and home.counts().done == 0
    wrong.terminate()
    wrong.wait(60)
    home.run("resume", "questions")
    home.worker("api", LAB_KEY=KEY)
    counts = home.wait(timeout=PATIENCE)
    assert (counts["done"], counts["failed"]) == (len(rows), 0) and not endpoint.sent_again()
    told = [home.run(*words).stdout for words in (["status"], ["score", "questions"], ["export", "questions"])]
    told.append(home.run("report", "questions").stdout)
    assert "held back" in told[1]
    assert not any("very-secret" in text for text in told)
    assert not [path for path in left(home.folder) if b"very-secret" in path.read_bytes()]
