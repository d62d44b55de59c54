"""Usage errors in one style: what is wrong, then a line that is right; exit 2, and no traceback."""

import pytest

from tests.cli import Call


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["enqeue"], "unknown command 'enqeue'", "did you mean enqueue"),
        (["list", "rns"], "unknown command 'rns'", "did you mean runs?"),
        (["xyzzy"], "unknown command 'xyzzy'", "videval --help lists the commands"),
        (["db", "xyzzy"], "unknown command 'xyzzy'", "videval db --help lists the commands"),
        (["enqueue", "--frmes", "3"], "unknown option --frmes", "did you mean --frames"),
        (["score", "x", "--qqqqqq"], "unknown option --qqqqqq", "videval score --help"),
        (["status", "-x"], "unknown option -x", ""),
        (["--nosuch"], "unknown option --nosuch", "videval --help"),
        (["run", "a", "b", "--limit", "abc"], "--limit is a number, not 'abc'", "videval run --help"),
        (["run", "a", "b", "--limit", "2.5"], "--limit is a whole number, not '2.5'", "videval run --help"),
        (["run", "a", "b", "--limit", "0"], "--limit is at least 1, not '0'", "videval run --help"),
        (["run", "a", "b", "--fps", "fast"], "--fps is a number, not 'fast'", "videval run --help"),
        (["run", "a", "b", "--priority", "9"], "--priority is at most 3, not '9'", "videval run --help"),
        (["dashboard", "--port", "99999"], "--port is at most 65535, not '99999'", "videval dashboard --help"),
        (["fleet", "--max-rss", "big"], "--max-rss is a number, not 'big'", "videval fleet --help"),
        (["list", "runs", "-n", "many"], "--number is a number, not 'many'", "videval list runs --help"),
        (["fleet", "--devices"], "--devices needs a value", "videval fleet --help"),
        (["status", "--watch=yes"], "--watch takes no value", "videval status --help"),
        (["score"], "RUN is missing", "for example: videval score mvbench"),
        (["prepare"], "NAME is missing", "for example: videval prepare MVBench"),
        (["score", "a", "b"], "nothing is to be done with 'b'", "videval score --help"),
        (["list", "runs", "--state", "done"], "'done' is not a state of a run", "one of active"),
        (["retry", "short", "--kind", "bad"], "'bad' is not a kind of failure", "one of video"),
        (["export", "short", "--format", "csv"], "unknown format 'csv'", "one of xlsx"),
        (["list", "models", "fke"], "unknown model 'fke'", "did you mean fake"),
        (["list", "benchmarks", "MVBnch"], "unknown benchmark 'MVBnch'", "did you mean MVBench"),
    ],
)
def test_what_is_typed_wrong_is_said_in_one_style(words: list[str], message: str, hint: str, videval: Call) -> None:
    said = videval(*words)
    assert said.code == 2 and said.out == ""
    first, second = said.err.splitlines()
    assert first == f"error: {message}"
    assert second.startswith("  -> ") and hint in second


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("VIDEVAL_LEASE", "soon", "VIDEVAL_LEASE is a number, not 'soon'"),
        ("VIDEVAL_LEASE", "0", "VIDEVAL_LEASE is more than 0, not '0'"),
        ("VIDEVAL_BATCH_SIZE", "x", "VIDEVAL_BATCH_SIZE is a number, not 'x'"),
        ("VIDEVAL_BATCH_SIZE", "1.5", "VIDEVAL_BATCH_SIZE is a whole number, not '1.5'"),
        ("VIDEVAL_ALLOW_SYMLINKS", "perhaps", "VIDEVAL_ALLOW_SYMLINKS is true or false, not 'perhaps'"),
        ("VIDEVAL_FRAME_CACHE_GB", "-3", "VIDEVAL_FRAME_CACHE_GB is more than 0, not '-3'"),
    ],
)
def test_a_setting_that_is_wrong_is_named_with_what_is_right(
    name: str, value: str, message: str, videval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    for words in (["status"], ["list", "runs"], ["enqueue", "x.tsv", "fake"], ["broker", "status"]):
        said = videval(*words)
        assert said.code == 3 and said.err.startswith(f"error: {message}\n  -> ")


def test_all_settings_that_are_wrong_are_said_at_once(videval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEVAL_LEASE", "soon")
    monkeypatch.setenv("VIDEVAL_TURN", "later")
    said = videval("status")
    assert "VIDEVAL_LEASE" in said.err and "VIDEVAL_TURN" in said.err


def test_a_sample_that_does_not_exist_is_not_tried_again(videval: Call) -> None:
    said = videval("retry", "short", "--index", "q17", "--index", "99999")
    assert said.code == 2 and "no sample '99999'" in said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["going"], "no request failed"),
        (["short", "--kind", "oom"], "no request failed of kind oom"),
        (["short", "--index", "q1"], "no request of sample q1 failed"),
        (["short", "--unanswered"], "no pack left a question without an answer"),
    ],
)
def test_where_nothing_failed_retry_says_so(words: list[str], said: str, videval: Call) -> None:
    done = videval("retry", *words)
    assert done.code == 0 and f"nothing to try again, {said}" in done.out
