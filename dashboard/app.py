"""The dashboard: `videval dashboard`, or `streamlit run dashboard/app.py`. Looks, and by default changes nothing."""

import streamlit as st

from dashboard.backend import backend
from dashboard.guard import admit
from dashboard.show import no_runs
from dashboard.words import plain
from videval.errors import DatabaseUnavailable, VidevalError
from videval.settings import Settings

__all__ = ["main"]


def _is_ready(settings: Settings) -> bool:
    """Whether there is a database to show; else says what to do."""
    try:
        backend()
    except DatabaseUnavailable as error:
        if settings.is_embedded_database and not (settings.home_path / "videval.db").exists():
            st.title("videval")
            no_runs()
            st.text(f"Looked in {settings.home_path}")
        else:
            _explain(error)
        return False
    except VidevalError as error:
        _explain(error)
        return False
    return True


def _explain(error: VidevalError) -> None:
    st.error(plain(error), icon=":material/cloud_off:")
    if error.hint:
        st.code(error.hint, language=None)


def main() -> None:
    """One rendering."""
    st.set_page_config(page_title="videval", page_icon=":material/movie:", layout="wide")
    settings = Settings()
    if not admit(settings) or not _is_ready(settings):
        st.stop()
    pages = [
        st.Page("pages/runs.py", title="Runs", icon=":material/list:", default=True),
        st.Page("pages/run.py", title="Run", icon=":material/monitoring:", url_path="run"),
        st.Page("pages/samples.py", title="Samples", icon=":material/movie:", url_path="samples"),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page("pages/fleet.py", title="Fleet", icon=":material/memory:", url_path="fleet"),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
