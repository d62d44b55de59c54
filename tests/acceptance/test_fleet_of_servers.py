"""The same road on PostgreSQL and a TCP Redis, by setting the two URLs; and the package as it is installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.acceptance.conftest import BIN, Home
from tests.servers import TcpRedis, postgres


@pytest.mark.postgres
def test_the_two_urls_are_all_it_takes_to_use_postgresql_and_a_redis_of_ones_own(home: Home, clips: list[str]) -> None:
    server, redis = postgres(), TcpRedis()
    home.environ["VIDEVAL_DATABASE_URL"] = server.new_database()
    home.environ["VIDEVAL_BROKER_URL"] = redis.url
    try:
        said = home.run("db", "upgrade").stdout
        assert "none -> " in said
        rows = [
            {"index": i, "video": clips[i % 3], "question": "q", "A": "x", "B": "y", "answer": "A"} for i in range(12)
        ]
        home.run("enqueue", home.questions(rows), "fake")
        for _ in range(2):
            home.worker("cpu:0,cpu:1")
        assert home.wait()["done"] == 12
        home.run("export", "questions", "--format", "parquet")
        assert not (home.folder / "home" / "videval.db").exists()
    finally:
        home.stop_workers()
        redis.kill()


def test_celery_finds_the_workers_from_any_folder_and_importing_them_claims_nothing(home: Home) -> None:
    done = subprocess.run(
        [BIN / "celery", "-A", "workers", "report"],
        cwd="/",
        env=home.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "videval" in done.stdout
    assert not (home.folder / "locks").exists() and not (home.folder / "home").exists()


@pytest.mark.slow
def test_the_wheel_carries_the_migrations_the_dashboard_and_the_tiny_model(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(root)],
        check=True,
        capture_output=True,
    )
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert any(n.startswith("migrations/versions/0001") for n in names)
    for name in (
        "migrations/env.py",
        "migrations/script.py.mako",
        "dashboard/app.py",
        "workers/tasks.py",
        "videval/py.typed",
    ):
        assert name in names
    assert "videval/models/tiny/model.safetensors" in names
