"""Makespan of a fleet over the ideal: first claim to last answer, over the sum of all answers' times by the workers.

    python -m perf.makespan
    python -m perf.makespan --tree . --tree ../before --workers 2 4 --rounds 3

400 questions about 100 clips, cold frames, a fake model whose answers take as long as a heavy tail says (median 50 ms,
3 % of them a second). The fleet is up, has its model loaded and waits. `tail`: seconds between the end of the first
worker and that of the last one.
"""

import shutil
import tempfile
import time
from pathlib import Path

from perf.fleets import Home, cores_used, fleet, heavy_tail, median, parser, questions, until, write_table

CLIPS, EACH = 100, 4
RUN = "select max(id) from runs"
SPAN = (
    "select max(r.finished_at) - min(a.started_at) from requests r join attempts a on a.request_id = r.id"
    f" where r.run_id = ({RUN})"
)
ENDS = f"select max(r.finished_at) from requests r join attempts a on a.request_id = r.id where r.run_id = ({RUN})"
OPEN = "select count(*) from requests where status <> 'done'"


def measure(tree: Path, tables: dict[str, tuple[Path, float]], workers: int, rounds: int) -> dict[str, list[float]]:
    """Makespan over ideal by order of the latencies; the longest tail is printed as it goes."""
    home, found = Home(tree), {order: list[float]() for order in tables}
    try:
        with fleet(home, workers):
            _warm(home, next(iter(tables.values()))[0], workers)
            for _ in range(rounds):
                for order, (table, total) in tables.items():
                    shutil.rmtree(home.path / "frames", ignore_errors=True)
                    time.sleep(1.0)
                    home.run("enqueue", "--new", "--data", table, "--data-root", table.parent, "--frames", 8, "fake")
                    until(lambda: home.number(OPEN) == 0, 300, 0.1)
                    ratio = home.number(SPAN) / (total / workers)
                    found[order].append(ratio)
                    ends = [float(str(row[0])) for row in home.rows(f"{ENDS} group by a.worker_id")]
                    print(
                        f"  {tree.name} {workers} {order}: {ratio:.3f}, tail {max(ends) - min(ends):.2f} s", flush=True
                    )
    finally:
        home.remove()
    return found


def _warm(home: Home, table: Path, workers: int) -> None:
    """Have every worker load its model."""
    few = table.with_name("few.tsv")
    few.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + 8 * workers]))
    home.run("enqueue", "--data", few, "--data-root", table.parent, "--frames", 8, "fake")
    loaded = "select count(*) from workers where state in ('busy', 'idle') and model is not null"
    until(lambda: home.number(loaded) >= workers and home.number(OPEN) == 0, 180, 0.2)


def main() -> None:
    """Print the table."""
    asked = parser(__doc__)
    asked.add_argument("--workers", type=int, nargs="+", default=[2, 4, 8])
    given = asked.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vv-makespan-"))
    try:
        tables = {}
        for order in ("random", "clustered"):
            latencies = heavy_tail(CLIPS * EACH, clustered=order == "clustered", each=EACH)
            rows = questions(folder, clips=CLIPS, each=EACH, latency_ms=latencies.__getitem__)
            tables[order] = (write_table(folder / f"{order}.tsv", rows), sum(latencies) / 1000)
        print(f"other programs use {cores_used():.1f} cores")
        found = {
            (tree, n): measure(tree, tables, n, given.rounds)
            for n in given.workers
            for tree in given.tree or [Path.cwd()]
        }
        print("\n| tree | workers | random | clustered |\n|---|---|---|---|")
        for (tree, n), ratios in found.items():
            print(
                f"| {tree.absolute().name} | {n} | {median(ratios['random']):.2f} | {median(ratios['clustered']):.2f} |"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
