"""Which run a page shows, and what its address holds: a link that is copied from there shows the same to others."""

from collections.abc import Sequence

import streamlit as st

from dashboard.backend import data
from dashboard.show import unwrapped
from videval.db.records import RunInfo

__all__ = ["choose_run", "hold", "no_runs", "title"]

LAST_RUN = "last-run"


def hold(**wanted: str | Sequence[str]) -> None:
    """Have the address hold what is not empty of this, and nothing else."""
    kept = {name: [value] if isinstance(value, str) else list(value) for name, value in wanted.items() if value}
    if {name: st.query_params.get_all(name) for name in st.query_params} != kept:
        st.query_params.from_dict(kept)


def title(words: str = "") -> None:
    """What the browser's tab says."""
    st.set_page_config(page_title=f"{words} · videval" if words else "videval")


def choose_run(*, keep: Sequence[str] = (), of_the_run: Sequence[str] = ()) -> RunInfo | None:
    """The run of the link (`?run=NAME`), else the one looked at last, else the newest; a box to choose another.

    The address then holds it, what is named in `keep`, what is named in `of_the_run` unless another run was chosen,
    and nothing else.
    """
    overview = unwrapped(data().overview(), "the runs", again=True)
    if overview is None:
        return None
    if not overview.statuses:
        no_runs()
        return None
    runs = {s.run.name: s.run for s in overview.statuses}
    asked = st.query_params.get("run")
    wanted = asked or st.session_state.get(LAST_RUN)
    if asked is not None and asked not in runs:
        st.warning("There is no run of this name here; this is the newest one.", icon=":material/search_off:")
    names = list(runs)
    index = names.index(wanted) if wanted in runs else 0
    chosen = st.selectbox("Run", names, index=index, key=f"choose-run-{wanted}")
    kept = [*keep, *(of_the_run if asked in (None, chosen) else ())]
    hold(run=chosen, **{name: st.query_params.get_all(name) for name in kept})
    st.session_state[LAST_RUN] = chosen
    return runs[chosen]


def no_runs() -> None:
    """What to do when there is nothing yet."""
    with st.container(border=True):
        st.subheader("No runs yet")
        st.text("A run is one benchmark asked of one model. Make one, then start a worker for each GPU:")
        st.code("videval enqueue MVBench_8frame Video-LLaVA-7B\nvideval fleet", language="bash")
        st.text("To try it without a GPU or any data:")
        st.code("videval list benchmarks\nvideval list models", language="bash")
