"""Models and datasets of VLMEvalKit's own on bare workers, from enqueue to export and evaluation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.chaos.cluster import Cluster, new_cluster
from tests.kits import HERE, kit
from videval.db import results
from videval.db.records import RunInfo
from videval.db.runs import get_run
from videval.export import export_table, run_table
from videval.export.evaluated import evaluate_foreign
from videval.options import Asked
from videval.orders import make_order
from videval.runs import enqueue
from videval.settings import Settings

__all__ = ["kit"]


@pytest.fixture
def cluster(kit: Path, tmp_path: Path) -> Iterator[Cluster]:
    made = new_cluster("sqlite", tmp_path / "cluster")
    made.environ |= {"PYTHONPATH": str(HERE), "LMUData": str(kit), "TOY_IMPORTS": str(tmp_path / "imports")}
    made.environ["VIDEVAL_DATA_ROOT"] = str(tmp_path / "data")
    try:
        yield made
    finally:
        left = made.close()
    assert not left


def ordered(cluster: Cluster, what: str, model: str, limit: int | None = None) -> RunInfo:
    order = make_order(Asked(what=what, model=model, limit=limit), Settings())
    return enqueue(cluster.database, order).run


def exported(cluster: Cluster, run: RunInfo) -> list[str]:
    with cluster.database.read() as connection:
        now = get_run(connection, run.run_id)
    path = cluster.folder / f"{run.run_id}.xlsx"
    export_table(run_table(cluster.database, now), path, "xlsx")
    return list(pd.read_excel(path, keep_default_na=False)["prediction"])


def failures(cluster: Cluster, run: RunInfo) -> dict[str, tuple[str, str]]:
    with cluster.database.read() as connection:
        found = list(results.failures(connection, run.run_id))
    return {str(row["index"]): (str(row["kind"]), str(row["message"])) for row in found}


def test_its_models_and_datasets_travel_the_fleet_by_name(cluster: Cluster, tmp_path: Path) -> None:
    films, mvbench = "vlmevalkit:ToyFilms_4frame", "MVBench_8frame"
    runs = {
        (what, model): ordered(cluster, what, model, limit)
        for what, model, limit in (
            (films, "fake", None),
            (f"{films}_pack", "fake", None),
            (films, "vlmevalkit:Toy-Watcher-8f", None),
            (mvbench, "vlmevalkit:Toy-Watcher-8f", 2),
            (mvbench, "vlmevalkit:Toy-Pictures", 2),
            (mvbench, "vlmevalkit:Toy-Chatty", 2),
            (films, "vlmevalkit:Toy-Chatty", None),
            (films, "vlmevalkit:Toy-Endpoint", None),
            (films, "vlmevalkit:Toy-Faulty", None),
        )
    }
    cluster.start_worker("cpu", VIDEVAL_TURN="1")
    cluster.start_worker("api")
    for run in runs.values():
        cluster.wait_done(run.run_id)
    said = {key: exported(cluster, run) for key, run in runs.items()}

    assert len(said[films, "fake"]) == 4 and all(said[films, "fake"])
    assert cluster.counts(runs[f"{films}_pack", "fake"].run_id).total == 2
    assert said[films, "vlmevalkit:Toy-Watcher-8f"] == ["Toy-Films: video,text; 4 frames, None fps"] * 4
    watched = {text for text in said[mvbench, "vlmevalkit:Toy-Watcher-8f"] if text}
    assert watched == {"MVBench: text,video,text,text,text; 8 frames, None fps"}
    assert {text for text in said[mvbench, "vlmevalkit:Toy-Pictures"] if text} == {"MVBench: 8 images"}
    own = [text for text in said[mvbench, "vlmevalkit:Toy-Chatty"] if text]
    assert len(own) == 2 and all(t.startswith("in my own words: ") and t.endswith("(8 images)") for t in own)
    assert said[films, "vlmevalkit:Toy-Chatty"][3] == "in my own words: question 3? (4 images)"

    endpoint = runs[films, "vlmevalkit:Toy-Endpoint"]
    assert said[films, "vlmevalkit:Toy-Endpoint"] == ["B", "", "B", "B"]
    assert failures(cluster, endpoint) == {"1": ("api", "Failed to obtain answer via API.")}
    by = cluster.rows(
        "SELECT DISTINCT attempts.worker FROM attempts JOIN requests ON requests.id = attempts.request_id "
        f"WHERE requests.run_id = {endpoint.run_id}"
    )
    assert [row.worker.partition("@")[0] for row in by] == ["api0"]
    assert failures(cluster, runs[films, "vlmevalkit:Toy-Faulty"]) == {
        "0": ("model", "generate returned None, not a text"),
        "1": ("model", "generate returned a dict, not a text"),
        "2": ("model", "ValueError: a shape that does not fit"),
        "3": ("model", "ValueError: a shape that does not fit"),
    }

    rating = evaluate_foreign(cluster.database, endpoint)
    assert rating == {"overall": {"acc": 0.25, "n": 4}}
    imported = set(map(int, (tmp_path / "imports").read_text().split()))
    workers = {process.pid for process in cluster.processes("worker")}
    assert imported and not imported & workers, "a worker must not import it"
    environments = [json.loads(row.environment) for row in cluster.rows("SELECT environment FROM attempts")]
    assert "0.2toy" in {e.get("vlmeval") for e in environments}


def test_the_page_for_users_of_vlmevalkit_has_commands_that_work(cluster: Cluster) -> None:
    page = (Path(__file__).parents[2] / "docs" / "vlmevalkit.md").read_text()
    commands = "".join(re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)).splitlines()
    assert len(commands) == 4
    cluster.environ["VIDEVAL_DEVICES"] = "cpu"
    said = [cluster.command(*line.replace(" Qwen/Qwen2.5-VL-7B-Instruct", " fake").split()[1:]) for line in commands]
    assert "40 rows ->" in said[0] and "4 rows ->" in said[1]
    assert '"n": 4' in said[2] and "vlmevalkit:Qwen2.5-VL-7B-Instruct" in said[3].splitlines()
