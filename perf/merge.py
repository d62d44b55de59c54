"""What `videval merge` takes: of a run whose scores all change, and once more where nothing does.

    python -m perf.merge
    python -m perf.merge --rows 10000 --times 3
    python -m perf.merge --tree ../before --tree .

SQLite, in a home of its own; one process for each measurement, trees in turn. Prints one markdown row each.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.seeding import Seed, new_database, seed_run

HERE = Path(__file__).parent.parent


def merged(home: Path, tree: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak MB of the command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    variables = {**os.environ, "VIDEVAL_HOME": str(home)}
    command = [sys.executable, "-c", "from videval.cli import main; main()", "merge", "table"]
    subprocess.run(command, env=variables, cwd=tree, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, after.ru_maxrss / 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--tree", type=Path, action="append")
    options = parser.parse_args()
    print("| tree | answers | scores | seconds | CPU seconds | MB peak so far |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        seeded = Path(folder) / "seeded"
        database = new_database(seeded)
        seed_run(database, Seed(questions=options.rows, done=options.rows))
        database.close()
        for _ in range(options.times):
            for tree in options.tree or [HERE]:
                home = Path(shutil.copytree(seeded, Path(folder) / "home"))
                for scores in ("all change", "as they were"):
                    seconds, cpu, peak = merged(home, tree.resolve())
                    figures = f"{seconds:.1f} | {cpu:.1f} | {peak:.0f}"
                    print(f"| {tree.resolve().name} | {options.rows:,} | {scores} | {figures} |", flush=True)
                shutil.rmtree(home)


if __name__ == "__main__":
    main()
