"""Passwords in the process's own arguments."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from test_rig.cli.masking import masked

secrets = st.text("abcdefghijklmnopqrstuvwxyz:%!?#0123456789", min_size=8, max_size=20)


@given(secrets)
def test_a_password_is_masked_in_every_form_in_which_it_can_be_given(secret: str) -> None:
    """As an option, as an option with `=`, and inside a URL."""
    arguments = ["audit", "--password", secret, f"--password={secret}", f"mysql://u:{secret}@h/db"]
    assert secret not in " ".join(masked(arguments))


def test_everything_else_stays_as_it_was() -> None:
    """Arguments without a secret are not touched, a URL without a password among them."""
    arguments = ["audit", "postgresql://user@host:5432/db", "--level", "serializable", "--json"]
    assert masked(arguments) == arguments
