"""Server time of every dashboard page on a large database, and on one with many runs.

    python -m perf.pages                          1,000,000 requests of one run; 1,000 runs of 100
    python -m perf.pages --requests 100000

Each page is rendered by Streamlit's own test harness, without a browser. `first` is its first rendering, when nothing
is known yet and the page says that it reads; `known` is the median and `most` the longest of ten renderings half a
second apart, while the store keeps fetching in the background as it does in life.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from streamlit import config
from streamlit.testing.v1 import AppTest

from dashboard.backend import the_settings
from tests.seeding import Seed, add_worker, new_database, seed_run, snapshot_of

APP = Path(__file__).parents[1] / "dashboard" / "app.py"
PAGES = ("runs", "run", "samples", "compare", "fleet")
RENDERINGS = 10


def seconds(at: AppTest) -> float:
    """Server time of one rendering."""
    began = time.perf_counter()
    at.run()
    took = time.perf_counter() - began
    assert not at.exception, at.exception
    return took


def render(page: str) -> tuple[float, list[float]]:
    """Seconds of a page's first rendering, and of those when everything is known."""
    at = AppTest.from_file(APP, default_timeout=120)
    at.switch_page(f"views/{page}.py")
    first = seconds(at)
    while any("Reading" in c.value for c in at.caption):
        time.sleep(0.5)
        at.run()
    known = []
    for _ in range(RENDERINGS):
        time.sleep(0.5)
        known.append(seconds(at))
    return first, known


def measure(name: str, home: Path) -> None:
    """Print a row for each page."""
    os.environ["VIDEVAL_HOME"] = str(home)
    the_settings.cache_clear()
    for page in PAGES:
        first, known = render(page)
        print(f"| {name} | {page} | {first:.2f} | {statistics.median(known):.2f} | {max(known):.2f} |", flush=True)


def main() -> None:
    """Seed both databases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=1_000)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="vd-pages-"))
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    config.set_option("server.address", "127.0.0.1")
    try:
        large = new_database(folder / "large")
        seed_run(large, Seed(questions=asked.requests, done=asked.requests * 6 // 10, failed=asked.requests // 1000))
        add_worker(large, "gpu0@host")
        many = new_database(folder / "many")
        shared = snapshot_of(many, seed_run(many, Seed(variant="table_0frame")))
        for number in range(1, asked.runs):
            seed_run(many, Seed(variant=f"table_{number}frame"), snapshot=shared)
        add_worker(many, "gpu0@host")
        os.environ["VIDEVAL_HOME"] = str(folder / "none")
        AppTest.from_file(APP, default_timeout=120).run()  # imports
        the_settings.cache_clear()
        print("| database | page | first, s | known, s | most, s |\n|---|---|---|---|---|")
        measure(f"{asked.requests:,} requests", folder / "large")
        measure(f"{asked.runs:,} runs", folder / "many")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
