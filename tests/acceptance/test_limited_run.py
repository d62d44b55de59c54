"""`videval run --max-tokens-total`: the run stops before its limit, says why, and goes on with a higher one."""

import re

import pytest

from tests.acceptance.conftest import Home
from tests.standin import stand_in

ENTRY = '[endpoints.lab]\nbase_url = "{url}"\nmodel = "stand-in"\n'


@pytest.mark.slow
def test_a_run_ends_with_exit_code_3_before_its_limit_and_goes_on_with_a_higher_one(
    home: Home, clips: list[str]
) -> None:
    asked = [
        {"video": clips[0], "question": f"What is {number}?", "A": "x", "B": "y", "answer": "A"}
        for number in range(100)
    ]
    table = home.questions(asked)
    with stand_in(home.folder) as server:
        (home.folder / "endpoints.toml").write_text(ENTRY.format(url=server.url))
        home.environ["VIDEVAL_ENDPOINTS"] = str(home.folder / "endpoints.toml")
        command = ("run", table, "endpoint:lab", "--frames", "4", "--max-new-tokens", "64", "--devices", "api")
        halted = home.run(*command, "--max-tokens-total", "6000", expect=3)
        assert "is halted: --max-tokens-total 6000" in halted.stderr
        (enough,) = re.findall(r"-> videval resume \S+ --max-tokens-total (\d+)", halted.stderr)
        used, next_one = map(
            int, re.findall(r"(\d+) tokens are used, the next request may take (\d+)", halted.stderr)[0]
        )
        assert int(enough) == 2 * max(6000, used + next_one), "with that it goes on"
        answered = server.outcomes()["ok"]
        assert 0 < answered < len(asked), "as many as fit, by what they really took"
        assert "halted: " in home.run("status").stdout
        said = home.run(*command, "--max-tokens-total", "100000").stdout
        assert "coverage: 100 of 100 questions" in said
        assert server.outcomes()["ok"] == len(asked) and not server.sent_again()
