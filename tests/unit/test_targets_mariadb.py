"""MariaDB's status text: who waits in it, and why a statement cannot fake a wait."""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.targets.dialect import Params, Result
from test_rig.targets.mariadb import MARIADB, waiting_statements

WAITING = """\
---TRANSACTION 421, ACTIVE 2 sec starting index read
mysql tables in use 1, locked 1
LOCK WAIT 2 lock struct(s), heap size 1128, 1 row lock(s)
MariaDB thread id {thread}, OS thread handle 139, query id {query} localhost root Updating
UPDATE t SET a = 2
------- TRX HAS BEEN WAITING 1 us FOR THIS LOCK TO BE GRANTED:
RECORD LOCKS space id 5 page no 3
"""
RUNNING = """\
---TRANSACTION 420, ACTIVE 3 sec
2 lock struct(s), heap size 1128, 1 row lock(s), undo log entries 1
MariaDB thread id {thread}, OS thread handle 138, query id {query} localhost root
{sql}
"""
HEAD = "\n=====\nTRANSACTIONS\n------------\nLIST OF TRANSACTIONS FOR EACH SESSION:\n"


class _Server:
    """What a server would answer: its status, and which statement each connection runs."""

    def __init__(self, status: str, running: dict[int, int]) -> None:
        self.status, self.running = status, running

    def __call__(self, sql: str, params: Params = None) -> Result:
        rows: Sequence[tuple[object, ...]] = ()
        if sql.startswith("SHOW ENGINE"):
            rows = (("InnoDB", "", self.status),)
        elif "QUERY_ID" in sql:
            assert isinstance(params, Sequence)
            rows = [(one, query) for one, query in self.running.items() if one in params[0]]
        return Result(rows=tuple(tuple(row) for row in rows))


def test_the_waiting_transaction_is_found_with_its_statement() -> None:
    """Of a waiting and a running transaction, the waiting one's connection is told."""
    status = HEAD + WAITING.format(thread=8, query=31) + RUNNING.format(thread=9, query=30, sql="")
    assert waiting_statements(status) == {8: 31}


def test_a_wait_of_a_connection_is_seen() -> None:
    """The number in the status is that of the statement that runs: it waits."""
    view = MARIADB.blocked_view(_Server(HEAD + WAITING.format(thread=8, query=31), {8: 31}))
    assert view is not None
    assert view([8, 9]) == {8: ()}


def test_a_statement_cannot_fake_a_wait_of_another() -> None:
    """A status text quoted in a statement, with its line breaks, makes nobody wait."""
    forged = RUNNING.format(
        thread=9, query=30, sql="SELECT '\n" + WAITING.format(thread=8, query=7)
    )
    assert waiting_statements(HEAD + forged) == {8: 7}, "the forgery is there to be found"
    view = MARIADB.blocked_view(_Server(HEAD + forged, {8: 31, 9: 30}))
    assert view is not None
    assert view([8, 9]) == {}


def test_a_statement_cannot_fake_a_wait_of_its_own() -> None:
    """The first thread line of a block is the server's, whatever the statement says behind it."""
    sql = "SELECT '\nLOCK WAIT 2 lock\nMariaDB thread id 8, OS thread handle 1, query id 31 x'"
    status = HEAD + RUNNING.format(thread=9, query=30, sql=sql)
    assert waiting_statements(status) == {}
