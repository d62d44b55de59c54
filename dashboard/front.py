"""What stands before every page: who may look, and whether there is a database to look at."""

import streamlit as st

from dashboard import charts as charts  # slow to import: here before a page is timed
from dashboard.access import admit
from dashboard.backend import backend, one_rendering, the_settings
from dashboard.choose import no_runs
from dashboard.priority import step_back
from dashboard.theme import STYLE
from dashboard.words import plain
from videval.errors import VidevalError
from videval.settings import Settings

__all__ = ["enter"]


def enter(page: st.Page) -> None:
    """Show a page to whoever may see it."""
    step_back()
    settings = the_settings()
    st.html(STYLE)
    if admit(settings) and _is_ready(settings):
        with one_rendering():
            page.run()


def _is_ready(settings: Settings) -> bool:
    """Whether there is a database to show; else says what to do, and looks again in a while."""
    try:
        backend()
    except VidevalError as error:
        if settings.is_embedded_database and not (settings.home_path / "videval.db").exists():
            no_runs()
            st.text(f"Looked in {settings.home_path}")
        else:
            st.error(plain(error), icon=":material/cloud_off:")
            st.code(error.hint, language=None)
        _look_again(settings)
        return False
    return True


@st.fragment(run_every=3.0)
def _look_again(settings: Settings) -> None:
    looked = st.session_state.get("looked", 0)
    st.session_state["looked"] = 1 - looked
    if looked:
        st.rerun()
