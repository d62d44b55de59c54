"""One case held against videval."""

import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.golden.cases import Case
from tools.golden.data import Differs
from tools.golden.prompts import check_model_text, check_prompt, check_variants
from tools.golden.scores import check_means, check_rating, check_score

__all__ = ["difference"]

_CHECKS: Mapping[str, Callable[[Case, Path], None]] = {
    "prompt": check_prompt,
    "model text": check_model_text,
    "variants": check_variants,
    "score": check_score,
    "rating": check_rating,
    "means": check_means,
}


def difference(case: Case) -> str:
    """What videval gives otherwise than was recorded; empty if it agrees."""
    if case.family:
        return f"videval has no benchmark of the family {case.benchmark} yet"
    check = _CHECKS.get(case.kind.partition(" (")[0])
    if check is None:
        return f"no such kind of case: it expects {', '.join(case.expected) or 'nothing'}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            check(case, Path(folder))
        except Differs as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (whatever videval raises on it, the other cases go on)
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"videval raises {type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
    return ""
