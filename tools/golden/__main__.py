"""Runs videval over recorded cases and prints what differs, counts by benchmark and kind, and last: agree/all.

    python -m tools.golden FILE_OR_FOLDER ... [--benchmark NAME] [--kind KIND] [--brief]

A folder means its *.json; those of another form are named and left out. What a file holds, and whose prompts a case is
about: tools/golden/cases.py. Exit status: 0 if all cases agree, 1 if some do not, 2 for a file that cannot be read
and where no case is asked for.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.golden.cases import Case, NotCases, Unreadable, files_in, read_cases
from tools.golden.check import difference


def main(arguments: Sequence[str] | None = None) -> int:
    """Check all cases that are asked for; the exit status."""
    asked = _asked(arguments)
    try:
        cases = [case for path in asked.paths for case in _cases(path) if _is_asked(case, asked)]
    except Unreadable as error:
        print(error)
        return 2
    if not cases:
        print("there are no such cases")
        return 2
    good, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for case in cases:
        said = difference(case)
        all_[case.benchmark, case.kind] += 1
        good[case.benchmark, case.kind] += not said
        if said and not asked.brief:
            print(f"  {case.id} {case.body.get('variant', '')} {case.body.get('form', '')}: {said}")
    for benchmark, kind in sorted(all_):
        print(f"{benchmark:20} {kind:20} {good[benchmark, kind]:5} of {all_[benchmark, kind]:5} agree")
    print(f"{good.total()}/{all_.total()}")
    return int(good != all_)


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    ask = argparse.ArgumentParser(
        prog="python -m tools.golden", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_argument("paths", nargs="+", type=Path, metavar="FILE_OR_FOLDER")
    ask.add_argument("--benchmark", help="only the cases of this one")
    ask.add_argument("--kind", help="only cases of this kind, such as prompt, score or 'score (videval)'")
    ask.add_argument("--brief", action="store_true", help="counts only")
    return ask.parse_args(arguments)


def _cases(path: Path) -> Iterator[Case]:
    for file in files_in(path):
        try:
            yield from read_cases(file)
        except NotCases as error:
            if not path.is_dir():
                raise
            print(f"{error}, left out")


def _is_asked(case: Case, asked: argparse.Namespace) -> bool:
    right_kind = asked.kind in (None, case.kind, case.kind.partition(" (")[0])
    return right_kind and asked.benchmark in (None, case.benchmark)


if __name__ == "__main__":
    sys.exit(main())
