"""How long a command takes until it is over: the median of several starts of each, in new processes.

python -m perf.start [--repeat 5] [--runs 20] [--questions 1000]
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.seeding import Seed, new_database, seed_run

COMMANDS = (
    ["--version"],
    ["--help"],
    ["run", "--help"],
    ["(TAB: score s...)"],
    ["list", "models"],
    ["list", "benchmarks"],
    ["list", "runs"],
    ["status"],
    ["score", "speed_0"],
    ["errors", "speed_0"],
    ["card", "speed_0"],
    ["merge", "speed_0"],
    ["export", "speed_0"],
    ["report", "speed_0"],
    ["pause", "speed_0"],
    ["retry", "speed_0", "--kind", "oom"],
    ["db", "status"],
    ["broker", "status"],
)


PROGRAM = "import sys; sys.argv[0] = 'videval'; from videval.cli import main; main()"


def cost(words: list[str], environ: dict[str, str], folder: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of one start."""
    if words[0].startswith("(TAB"):
        asked = {"_VIDEVAL_COMPLETE": "complete_bash", "COMP_WORDS": "videval score s", "COMP_CWORD": "2"}
        environ, words = environ | asked, []
    command = [sys.executable, "-c", PROGRAM, *words]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--questions", type=int, default=1000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="videval-start-"))
    database = new_database(folder)
    for i in range(asked.runs):
        seed_run(database, Seed(variant=f"speed_{i}", questions=asked.questions, done=asked.questions - 5, failed=5))
    database.close()
    environ = dict(os.environ, VIDEVAL_HOME=str(folder), PYTHONPATH=str(Path.cwd()), XDG_RUNTIME_DIR=str(folder))
    print("| command | seconds | CPU seconds |\n|---|---|---|")
    for words in COMMANDS:
        took = [cost(words, environ, folder) for _ in range(asked.repeat)]
        wall, cpu = (statistics.median(column) for column in zip(*took, strict=True))
        print(f"| `{' '.join(words)}` | {wall:.2f} | {cpu:.2f} |", flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
