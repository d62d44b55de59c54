"""Measure exports: seconds and peak memory of each format, beside pandas with its two xlsx writers.

    python perf/export.py [--rows 100000] [--only NAME ...]

Every way runs in a process of its own, three text columns of about 40, 120 and 400 characters, a number column and
text for the rest: 12 columns. Prints one markdown row each; "before" is the memory once everything is imported.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

COLUMNS = ("index", "video", "question", "A", "B", "C", "D", "answer", "start", "end", "task_type", "prediction")


def rows(count: int) -> Iterator[dict[str, Any]]:
    """The same rows for everybody."""
    for n in range(count):
        yield {
            "index": n,
            "video": f"clips/{n // 4:06d}/video.mp4",
            "question": f"What does person {n} do after opening the door? " * 3,
            "A": f"walks away {n}",
            "B": "sits down",
            "C": "reads a book",
            "D": f"answers the phone {n % 7} times",
            "answer": "ABCD"[n % 4],
            "start": n % 60 / 7,
            "end": n % 60 / 7 + 5,
            "task_type": "action sequence",
            "prediction": f"({'ABCD'[n % 4]}) because\nthe person in frame {n % 8} "
            + "turns around and goes on, " * 14,
        }


def ours(format: Any) -> Callable[[int, Path], None]:
    """Stream the rows through videval.export."""
    import videval.export

    def write(count: int, folder: Path) -> None:
        table = videval.export.Table(columns=COLUMNS, rows=rows(count), card={}, failures=(), run="perf")
        videval.export.export_table(table, folder / f"t.{format}", format)

    return write


def pandas(engine: Any) -> Callable[[int, Path], None]:
    """Build a frame and write it as today's harnesses do."""
    import importlib

    import pandas as pd

    importlib.import_module(engine)
    return lambda count, folder: pd.DataFrame(rows(count)).to_excel(folder / "t.xlsx", index=False, engine=engine)


WAYS: dict[str, Callable[[], Callable[[int, Path], None]]] = {
    "videval xlsx": lambda: ours("xlsx"),
    "videval tsv": lambda: ours("tsv"),
    "videval json": lambda: ours("json"),
    "videval jsonl": lambda: ours("jsonl"),
    "videval parquet": lambda: ours("parquet"),
    "pandas + openpyxl": lambda: pandas("openpyxl"),
    "pandas + xlsxwriter": lambda: pandas("xlsxwriter"),
}


def peak_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measure(name: str, count: int) -> None:
    """Print one way's markdown row."""
    write = WAYS[name]()
    before = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        write(count, Path(folder))
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        size = sum(p.stat().st_size for p in Path(folder).iterdir()) / 1e6
    print(f"| {name} | {count:,} | {seconds:.1f} | {cpu:.1f} | {before:.0f} | {peak_mb():.0f} | {size:.1f} |")


def main() -> None:
    """Run every way in its own process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--here", choices=list(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        measure(options.here, options.rows)
        return
    print(
        "| way | rows | seconds | CPU seconds | MB before | MB peak | MB on disk |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    for name in options.only:
        subprocess.run([sys.executable, __file__, "--rows", str(options.rows), "--here", name], check=True)


if __name__ == "__main__":
    main()
