"""Tests see nothing of the settings of whoever runs them."""

import os
from pathlib import Path

import pytest

from tests.conftest import SPARED, SPARED_ALSO
from tests.servers import settings_for
from videval.settings import Settings


def test_no_setting_of_the_user_s_environment_is_left() -> None:
    assert [n for n in os.environ if n.startswith(SPARED) or n in SPARED_ALSO] == []


def test_no_dotenv_lies_where_tests_and_their_processes_run() -> None:
    assert not Path(".env").exists()


def test_a_dotenv_of_the_user_s_is_read_by_commands_and_not_by_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("VIDEVAL_LEASE=1.5\n")
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")
    assert Settings().lease == 1.5
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert Settings().lease == settings_for(tmp_path).lease == 60.0
