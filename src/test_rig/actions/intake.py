"""The way into a driver's queue: to disk first where that is wanted, into memory what fits.

How to think of it: memory holds the beginning of each lane, the disk all of it where `spool` is on,
and what did not fit where the policy is `spill`. `_is_behind` says of a lane that the disk holds
more than memory does; then new events go behind what is on disk, and `refill` loads the next part
when there is room. Used by the pipe's thread only.
"""

from __future__ import annotations

from test_rig.actions.backlog import Backlog, Parcel, Policy
from test_rig.actions.event import is_urgent
from test_rig.actions.pipe_options import PipeOptions
from test_rig.actions.spool import Spool
from test_rig.actions.tally import Tally

__all__ = ["Intake"]


class Intake:
    """Where parcels wait: memory and disk.

    Args:
        options: The pipe's options.
        backlog: The parcels in memory.
        spool: The parcels on disk.
        tally: Told of what is lost.
    """

    def __init__(self, options: PipeOptions, backlog: Backlog, spool: Spool, tally: Tally) -> None:
        self._options, self.backlog, self.spool, self._tally = options, backlog, spool, tally
        #: By lane: the last row that is in memory, and whether there are rows after it.
        self._loaded = {False: 0, True: 0}
        self._is_behind = dict.fromkeys((False, True), spool.depth > 0)

    def fetch_again(self) -> None:
        """Take over dead letters that shall be sent again."""
        if self.spool.fetch_again():
            self._is_behind = {False: True, True: True}

    def accept_durably(self, parcels: list[Parcel]) -> bool:
        """Write parcels to disk; return whether all of them fit."""
        excess = self.spool.depth + len(parcels) - self._options.spool_limit
        if excess > 0 and self._options.policy is Policy.DROP_OLDEST:
            gone = self.spool.drop_oldest(excess, beyond=self._loaded[False])
            self._tally.lose("spool full", gone)
            excess -= gone
        if excess > 0:
            kept = max(0, len(parcels) - excess)
            self._tally.lose("spool full", len(parcels) - kept)
            parcels = parcels[:kept]
        if parcels:
            self.spool.append(parcels)
            self._admit_from_disk(parcels)
        return excess <= 0

    def _admit_from_disk(self, parcels: list[Parcel]) -> None:
        """Keep in memory what fits; the rest is loaded when there is room."""
        for urgent in (True, False):
            lane = [parcel for parcel in parcels if is_urgent(parcel.event) is urgent]
            if not lane or self._is_behind[urgent]:
                continue
            room = len(lane)
            if not urgent and self._options.policy is not Policy.LATEST:
                room = self.backlog.room()
            fits = lane[:room]
            self._is_behind[urgent] = len(fits) < len(lane)
            if fits:
                self._loaded[urgent] = fits[-1].seq
                self._queue_up(fits, patient=True)

    def admit(self, parcels: list[Parcel], *, patient: bool) -> None:
        """Take parcels into memory; what does not fit goes where the policy says."""
        if self._options.policy is Policy.SPILL and self._is_behind[False]:
            # What is on disk came before: order wants that the rest follows there.
            urgent = [parcel for parcel in parcels if is_urgent(parcel.event)]
            self._spill([parcel for parcel in parcels if not is_urgent(parcel.event)])
            parcels = urgent
        self._queue_up(parcels, patient=patient)

    def _queue_up(self, parcels: list[Parcel], *, patient: bool) -> None:
        made = self.backlog.offer(parcels, patient=patient)
        if made.dropped:
            self._tally.lose(f"queue full, {self._options.policy.value}", len(made.dropped))
            self.spool.delivered(made.dropped)
        if made.replaced:
            self._tally.conflated += len(made.replaced)
            self.spool.delivered(made.replaced)
        if made.spilled:
            self._spill(made.spilled)

    def _spill(self, parcels: list[Parcel]) -> None:
        room = max(0, self._options.spool_limit - self.spool.depth)
        if len(parcels) > room:
            self._tally.lose("spool full", len(parcels) - room)
            parcels = parcels[:room]
        if not parcels:
            return
        self.spool.append(parcels)
        for urgent in (False, True):
            if any(is_urgent(parcel.event) is urgent for parcel in parcels):
                self._is_behind[urgent] = True

    def refill(self, batch_size: int, *, now_ns: int) -> None:
        """Load from disk what did not fit before, once there is room for a batch."""
        for urgent in (True, False):
            room = self.backlog.room() if not urgent else self._options.queue_size
            if not self._is_behind[urgent] or room < min(batch_size, self._options.queue_size):
                continue
            loaded = self.spool.load(
                after=self._loaded[urgent], limit=room, urgent=urgent, now_ns=now_ns
            )
            self._is_behind[urgent] = len(loaded) == room
            if loaded:
                self._loaded[urgent] = loaded[-1].seq
                self._queue_up(loaded, patient=True)
