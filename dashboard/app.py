"""The dashboard: `videval dashboard`, which serves it by `server.py`. Looks, and by default changes nothing.

Nothing slow is imported at the top: the navigation stands before it is loaded. The pages are in `views`:
a folder named `pages` would be served by Streamlit itself until this script has run once, past the password.
"""

from pathlib import Path

import streamlit as st

__all__ = ["main"]

ICON = Path(__file__).parent / "static" / "icon.png"  # Streamlit would fetch one that it knows by name from elsewhere


def main() -> None:
    """One rendering."""
    st.set_page_config(page_title="videval", page_icon=str(ICON), layout="wide")
    pages = [
        st.Page("views/runs.py", title="Runs", icon=":material/list:", default=True),
        st.Page("views/run.py", title="Run", icon=":material/monitoring:", url_path="run"),
        st.Page("views/samples.py", title="Samples", icon=":material/movie:", url_path="samples"),
        st.Page("views/compare.py", title="Compare", icon=":material/compare_arrows:", url_path="compare"),
        st.Page("views/fleet.py", title="Fleet", icon=":material/memory:", url_path="fleet"),
    ]
    page = st.navigation(pages, position="top")
    from dashboard.front import enter

    enter(page)


if __name__ == "__main__":
    main()
