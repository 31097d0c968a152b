"""The judge of histories: what one shows, and which levels that rules out."""

from test_rig.checker.judge import Checked, Seen, check

__all__ = ["Checked", "Seen", "check"]
