"""Gathering what is wrong with a campaign's file, so that all of it is told at once."""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.campaign.document import Place
from test_rig.errors import CampaignInvalid, Problem, RigError

__all__ = ["Problems"]


class Problems:
    """What was found so far."""

    def __init__(self, place: Place, found: Sequence[Problem] = ()) -> None:
        self._place = place
        self._found = list(found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, what: str, *keys: str | int, todo: str | None = None) -> None:
        """Add a problem of a key of the file."""
        self._found.append(Problem(where=self._place.of(*keys), what=what, todo=todo))

    def add_error(self, error: RigError, *keys: str | int) -> None:
        """Add what an error says."""
        self.add(error.what, *keys, todo=error.todo)

    def check(self) -> None:
        """Raise what was found.

        Raises:
            CampaignInvalid: There was something.
        """
        if self._found:
            unique = list(dict.fromkeys(self._found))
            raise CampaignInvalid(unique, file=str(self._place.file))
