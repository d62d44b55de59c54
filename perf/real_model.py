"""Models of three families on videval beside a straight loop of transformers on the same frames.

    python -m perf.real_model
    python -m perf.real_model --families qwen2_5_vl --workers 1 --each 1 4 --clips 20 --rounds 1

Tiny random models of the real classes on clips of 4 seconds (960x540), 8 frames of each, 64 new tokens, float32, one
request at a time. The fleet is up and has loaded its model; frames are cold at the beginning of every measure. The
straight loop (`perf/straight.py`) has loaded its model too, decodes for each question, and runs in as many processes as
videval has workers, in turn with it. A rate is all questions over the time from the first one's start to the last one's
end; the CPU is that of all processes. `equal`: answers that are the straight loop's to the letter.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from perf.fleets import Home, cores_used, cpu_by_kind, fleet, median, parser, questions, until
from perf.makespan import OPEN, SPAN
from tests.tiny import TINY
from videval.db import results

FAMILIES = ("gemma3", "internvl", "qwen2_5_vl")
TOKENS = 64
LOOP = "import sys; from perf.straight import main; main(*sys.argv[1:])"
SIZE = 960, 540


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Questions a second, CPU seconds of one, and what was answered."""

    per_s: float
    cpu_s: float
    answers: dict[str, str]


def table_of(folder: Path, name: str, *, clips: int, each: int) -> Path:
    """A table of questions; no answers are scored."""
    rows = questions(folder, clips=clips, each=each, latency_ms=lambda _: 0.0, size=SIZE)
    said = ["index\tvideo\tquestion", *(f"{i}\t{q.video}\t{q.question}" for i, q in enumerate(rows))]
    (folder / name).write_text("\n".join(said) + "\n")
    return folder / name


def straight(checkpoint: Path, table: Path, processes: int, home: Home) -> Rate:
    """The straight loop in so many processes."""
    words = [sys.executable, "-c", LOOP, checkpoint, table]
    started = [
        subprocess.Popen(
            [*words, str(n), str(processes), str(TOKENS)], env=home.environ, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
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


def through_videval(home: Home, pid: int, checkpoint: Path, table: Path) -> Rate:
    """A new run on a fleet that has loaded the model, with cold frames."""
    shutil.rmtree(home.path / "frames", ignore_errors=True)
    before = cpu_by_kind(pid)
    options = ("--new", "--data-root", table.parent, "--frames", 8, "--max-new-tokens", TOKENS)
    home.run("enqueue", "--data", table, *options, f"hf_chat:{checkpoint}")
    until(lambda: home.number(OPEN) == 0, 600, 0.1)
    after = cpu_by_kind(pid)
    spent = sum(after.values()) - sum(before.values())
    run = int(home.number("select max(id) from runs"))
    with home.database().read() as connection:
        answers = {result.sample.id: result.prediction or "" for result in results.iter_results(connection, run)}
    return Rate(per_s=len(answers) / home.number(SPAN), cpu_s=spent / len(answers), answers=answers)


def measure(checkpoint: Path, tables: dict[int, Path], few: Path, workers: int, rounds: int) -> None:
    """Print a line of the table for each number of questions about a clip."""
    home, found = Home(Path.cwd(), VIDEVAL_BATCH_SIZE=1), {each: list[tuple[Rate, Rate]]() for each in tables}
    try:
        with fleet(home, workers) as process:
            through_videval(home, process.pid, checkpoint, few)
            time.sleep(1.0)
            for _ in range(rounds):
                for each, table in tables.items():
                    loop = straight(checkpoint, table, workers, home)
                    found[each].append((loop, through_videval(home, process.pid, checkpoint, table)))
    finally:
        home.remove()
    for each, pairs in found.items():
        ratio = median(own.per_s / loop.per_s for loop, own in pairs)
        equal = min(sum(own.answers.get(k) == text for k, text in loop.answers.items()) for loop, own in pairs)
        rates = [median(pair[n].per_s for pair in pairs) for n in (0, 1)]
        costs = [median(pair[n].cpu_s for pair in pairs) for n in (0, 1)]
        figures = (*(f"{rate:.2f}" for rate in (*rates, ratio)), *(f"{cost:.3f}" for cost in costs))
        cells = (checkpoint.name, workers, each, *figures, f"{equal} of {len(pairs[0][0].answers)}")
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--families", nargs="+", default=list(FAMILIES))
    asked.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked.add_argument("--each", type=int, nargs="+", default=[1, 4], help="questions about a clip")
    asked.add_argument("--clips", type=int, default=40)
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vv-real-model-"))
    try:
        tables = {n: table_of(folder, f"each{n}.tsv", clips=given.clips, each=n) for n in given.each}
        few = table_of(folder, "few.tsv", clips=max(given.workers) * 4, each=1)
        print(f"other programs use {cores_used():.1f} cores\n")
        print("| family | workers | each | straight, items/s | videval, items/s | ratio | CPU s | CPU s | equal |")
        for family in given.families:
            TINY[family](folder / family)
            for workers in given.workers:
                measure(folder / family, tables, few, workers, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
