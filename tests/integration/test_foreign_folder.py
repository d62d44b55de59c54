"""A folder with modules of the user's own, named as ours or Python's: it harms nothing that is started from it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.servers import settings_for
from workers import fleet as fleet_module
from workers.child import Child
from workers.device import parse_devices
from workers.fleet import Fleet

ROOT = Path(__file__).parents[2]
NAMES = (
    "workers",
    "queue",
    "redis",
    "celery",
    "kombu",
    "videval",
    "types",
    "json",
    "socket",
    "sqlalchemy",
    "dashboard",
)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: whoever imports anything from it fails."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(f"raise SystemExit('imported the foreign {name}')\n")
    monkeypatch.chdir(folder)
    return folder


def report(command: list[str], tmp_path: Path, **environ: str) -> str:
    """What Celery says of the application that it found."""
    home = {"VIDEVAL_HOME": str(tmp_path / "home"), "VIDEVAL_BROKER_URL": "redis://a-host-of-ours/1"}
    done = subprocess.run(command, env=os.environ | home | environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_workers_that_the_fleet_starts_are_videval_s(foreign, tmp_path):
    assert "a-host-of-ours" in report([sys.executable, "-P", "-m", "workers", "report"], tmp_path)


def test_the_bare_command_finds_videval_s_workers_since_celery_loads_them_as_a_plugin_first(foreign, tmp_path):
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["celery.commands"]
    installed = tmp_path / "installed" / "as_installed-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: as-installed\nVersion: 1\n")
    lines = "".join(f"{name} = {place}\n" for name, place in entries.items())
    (installed / "entry_points.txt").write_text(f"[celery.commands]\n{lines}")
    celery = str(Path(sys.executable).parent / "celery")
    said = report([celery, "-A", "workers", "report"], tmp_path, PYTHONPATH=str(installed.parent))
    assert "a-host-of-ours" in said


def test_engine_and_decoders_import_nothing_from_it(foreign, tmp_path):
    child = Child("workers.decoder_process", environ=dict(os.environ))
    try:
        child.send({"folder": str(tmp_path / "cache"), "budget_gb": 1, "patience": 60.0})
        assert child.receive() == {"ready": True}
    finally:
        child.kill()


def test_the_fleet_starts_its_workers_so_and_without_variables_of_celery_s(tmp_path, monkeypatch):
    started: list[tuple[list[str], dict[str, str]]] = []

    class NoProcess:
        def __init__(self, command: list[str], *, env: dict[str, str], **how: object) -> None:
            started.append((command, env))

        def poll(self) -> None:
            return None

    monkeypatch.setattr(fleet_module.subprocess, "Popen", NoProcess)
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere/9")
    Fleet(settings=settings_for(tmp_path), devices=parse_devices("cpu:0", gpus=[])).tick()
    ((command, environ),) = started
    assert command[1:5] == ["-P", "-m", "workers", "worker"]
    assert not [name for name in environ if name.startswith("CELERY_")]
