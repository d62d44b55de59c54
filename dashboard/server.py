"""What `videval dashboard` serves: the pages of `app.py` behind the gate of `access.py`."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard.access import Gate
from videval.settings import Settings

__all__ = ["app"]

password = Settings().dashboard_password.get_secret_value()
app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(Gate, password=password)])
