"""`videval run` in front of an endpoint: a wrong key halts the run once, and the right one goes on."""

from tests.acceptance.conftest import Home
from tests.standin import Plan, stand_in

ENTRY = """
[endpoints.lab]
base_url = "{url}"
model = "stand-in"
key_env = "LAB_KEY"
"""


def test_a_wrong_key_halts_the_run_with_exit_code_3_and_the_right_one_goes_on(home: Home, clips: list[str]) -> None:
    asked = [
        {"video": clips[0], "question": f"What is {number}?", "A": "x", "B": "y", "answer": "A"} for number in range(6)
    ]
    table = home.questions(asked)
    with stand_in(home.folder, Plan(key="sk-right")) as server:
        (home.folder / "endpoints.toml").write_text(ENTRY.format(url=server.url))
        home.environ |= {"VIDEVAL_ENDPOINTS": str(home.folder / "endpoints.toml"), "LAB_KEY": "sk-wrong"}
        command = ("run", table, "endpoint:lab", "--devices", "api*2")
        halted = home.run(*command, expect=3)
        assert "is halted" in halted.stderr and "does not accept the key" in halted.stderr
        assert "sk-wrong" not in halted.stdout + halted.stderr + home.logs()
        assert "0 failed" in halted.stdout or "failed" not in halted.stdout
        assert "halted: " in home.run("status").stdout
        assert not server.outcomes()["ok"]
        home.environ["LAB_KEY"] = "sk-right"
        assert "coverage: 6 of 6 questions" in home.run(*command).stdout
        assert server.outcomes()["ok"] == 6
