"""Who may look: everybody on this machine, elsewhere whoever knows the password."""

import hmac
import ipaddress
import time

import streamlit as st

from videval.settings import Settings

__all__ = ["admit", "is_loopback"]

WRONG_PAUSE_S = 1.0


def is_loopback(address: str | None) -> bool:
    """Whether only this machine can reach a server on this address; None is every address."""
    if not address:
        return False
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def admit(settings: Settings) -> bool:
    """Whether to show the page; else says what is missing, or asks for the password."""
    password = settings.dashboard_password.get_secret_value()
    address = st.get_option("server.address")
    if not password and not is_loopback(address):
        st.error("This dashboard listens to other machines and has no password, so it shows nothing.")
        st.text("Either listen on this machine only, or set a password:")
        st.code("videval dashboard\nexport VIDEVAL_DASHBOARD_PASSWORD=...", language="bash")
        return False
    if not password or st.session_state.get("admitted"):
        return True
    return _ask(password)


def _ask(password: str) -> bool:
    with st.form("login", width=420):
        st.subheader("videval")
        given = st.text_input("Password", type="password")
        if not st.form_submit_button("Show the dashboard", type="primary"):
            return False
    if hmac.compare_digest(given.encode(), password.encode()):
        st.session_state["admitted"] = True
        st.rerun()
    time.sleep(WRONG_PAUSE_S)
    st.error("That is not the password.")
    return False
