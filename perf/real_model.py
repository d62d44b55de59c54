"""Models of four families on videval beside the best loop of transformers that we could write, and beside a plain one.

    python -m perf.real_model
    python -m perf.real_model --families qwen2_5_vl --workers 1 --clips 8 --rounds 1 --tokens 64

Tiny random models of the real classes that see frames as large as published ones do (about 2,000 tokens of a clip), on
clips of 4 seconds (960x540), 8 frames and four questions of each, 16 new tokens, float32. The fleet is up and has
loaded its model, and answers batches of four as the best loop does; neither frames nor prefixes are there when a
measure begins. The loops (`perf/straight.py`) have loaded their model too and run in as many processes as videval has
workers, in turn with it. A rate is all questions over the time from the first one's start to the last one's end; the
CPU is that of all processes. `equal`: answers that are the plain loop's to the letter, of videval and of the best loop.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from perf.fleets import Home, cores_used, cpu_by_kind, fleet, median, parser, questions, until
from perf.makespan import OPEN, SPAN
from tests.tiny import gemma3, internvl, qwen2_5_vl, video_llava
from videval.db import results

FAMILIES: Mapping[str, Callable[[Path], None]] = {
    "video_llava": partial(video_llava.build, side=224, width=128),
    "qwen2_5_vl": partial(qwen2_5_vl.build, most=512),
    "internvl": partial(internvl.build, side=448),
    "gemma3": partial(gemma3.build, side=224),
}
ADAPTERS = {"video_llava": "video_llava"}
POLICIES = {"video_llava": "stride"}
"""Which frames an adapter asks for, where that is not the harness's choice."""
EACH, BATCH = 4, 4
LOOP = "import sys; from perf.straight import main; main(*sys.argv[1:])"
SIZE = 960, 540
CACHED = (
    "select sum(cached_tokens) * 1.0 / sum(prompt_tokens) from responses "
    "where request_id in (select id from requests where run_id = (select max(id) from runs))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Questions a second, CPU seconds of one, and what was answered."""

    per_s: float
    cpu_s: float
    answers: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The ways of one round."""

    plain: Rate
    best: Rate
    own: Rate

    def ratio(self, other: Rate) -> float:
        return self.own.per_s / other.per_s

    def equal(self, one: Rate) -> int:
        return sum(one.answers.get(key) == text for key, text in self.plain.answers.items())


def table_of(folder: Path, name: str, *, clips: int) -> Path:
    """A table of questions; no answers are scored."""
    folder.mkdir(exist_ok=True)
    rows = questions(folder, clips=clips, each=EACH, latency_ms=lambda _: 0.0, size=SIZE)
    said = ["index\tvideo\tquestion", *(f"{i}\t{q.video}\t{q.question}" for i, q in enumerate(rows))]
    (folder / name).write_text("\n".join(said) + "\n")
    return folder / name


def straight(checkpoint: Path, table: Path, processes: int, home: Home, tokens: int, way: str) -> Rate:
    """A straight loop in so many processes."""
    words = [sys.executable, "-c", LOOP, checkpoint, table]
    told = [str(tokens), way, POLICIES.get(checkpoint.name, "")]
    started = [
        subprocess.Popen(
            [*words, str(n), str(processes), *told], env=home.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )
        for n in range(processes)
    ]  # fmt: skip
    for process in started:
        process.stdout.readline()  # it has loaded
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    done = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    answers = {index: text for one in done for index, text in one["answers"].items()}
    took = max(one["ended"] for one in done) - min(one["began"] for one in done)
    return Rate(per_s=len(answers) / took, cpu_s=sum(one["cpu"] for one in done) / len(answers), answers=answers)


def through_videval(home: Home, pid: int, checkpoint: Path, table: Path, tokens: int) -> Rate:
    """A new run on a fleet that has loaded the model, on clips that it does not know.

    Videos of another time are others: else the prefixes of the round before would be there.
    """
    shutil.rmtree(home.path / "frames", ignore_errors=True)
    for video in (table.parent / "videos").iterdir():
        os.utime(video)
    before = cpu_by_kind(pid)
    options = ("--new", "--data-root", table.parent, "--frames", 8, "--max-new-tokens", tokens)
    adapter = ADAPTERS.get(checkpoint.name, "hf_chat")
    home.run("enqueue", "--data", table, *options, f"{adapter}:{checkpoint}")
    until(lambda: home.number(OPEN) == 0, 600, 0.1)
    after = cpu_by_kind(pid)
    run = int(home.number("select max(id) from runs"))
    with home.database().read() as connection:
        answers = {result.sample.id: result.prediction or "" for result in results.iter_results(connection, run)}
    spent = {kind: (after[kind] - before.get(kind, 0.0)) / len(answers) for kind in after}
    said = ", ".join(f"{kind} {1000 * seconds:.0f}" for kind, seconds in sorted(spent.items()))
    print(f"    CPU ms an item: {said}; cached {home.number(CACHED):.0%}", file=sys.stderr, flush=True)
    return Rate(per_s=len(answers) / home.number(SPAN), cpu_s=sum(spent.values()), answers=answers)


def measured(checkpoint: Path, table: Path, few: Path, workers: int, rounds: int, tokens: int) -> list[Measured]:
    """All ways in turn, so many rounds."""
    home, found = Home(Path.cwd(), VIDEVAL_BATCH_SIZE=BATCH), []
    try:
        with fleet(home, workers) as process:
            through_videval(home, process.pid, checkpoint, few, tokens)
            time.sleep(1.0)
            for _ in range(rounds):
                plain, best = (straight(checkpoint, table, workers, home, tokens, way) for way in ("item", "prefix"))
                own = through_videval(home, process.pid, checkpoint, table, tokens)
                found.append(Measured(plain=plain, best=best, own=own))
    finally:
        home.remove()
    return found


def line(family: str, workers: int, rounds: list[Measured]) -> str:
    """A line of the table."""
    ways = ([one.plain for one in rounds], [one.best for one in rounds], [one.own for one in rounds])
    rates = [f"{median(rate.per_s for rate in way):.2f}" for way in ways]
    costs = [f"{median(rate.cpu_s for rate in way):.3f}" for way in ways]
    ratios = [f"{median(one.ratio(getattr(one, way)) for one in rounds):.2f}" for way in ("best", "plain")]
    equal = [min(one.equal(getattr(one, way)) for one in rounds) for way in ("own", "best")]
    cells = (family, workers, *rates, *ratios, *costs, *equal, f"of {len(rounds[0].plain.answers)}")
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--families", nargs="+", default=list(FAMILIES))
    asked.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked.add_argument("--clips", type=int, default=40)
    asked.add_argument("--tokens", type=int, default=16, help="new tokens of an answer")
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vv-real-model-"))
    try:
        table = table_of(folder, "table.tsv", clips=given.clips)
        few = table_of(folder / "few", "table.tsv", clips=max(given.workers) * 2)
        print(f"other programs use {cores_used():.1f} cores\n")
        print("| family | workers | plain, items/s | best loop | videval | / best | / plain | CPU s | | | equal | | |")
        for family in given.families:
            FAMILIES[family](folder / family)
            for workers in given.workers:
                found = measured(folder / family, table, few, workers, given.rounds, given.tokens)
                print(line(family, workers, found), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
