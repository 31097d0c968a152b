"""Contract: statements, rows, values, loads."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from test_rig.errors import StatementFailed
from test_rig.testing.contract_base import ContractBase

__all__ = ["StatementContract"]

#: Texts that break a load which quotes, splits or formats by hand. No NUL: not every database
#: stores one.
TEXTS = (
    *("", " ", "'", "''", '"', "`", "\\", "\\'", "\\N", "NULL", "%", "%s", "%%", "{0}", ":a", "?"),
    *(
        "a,b",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "é",
        "中文",
        "🔍",
        "\u200b",
        "--",
        "/*",
        ";",
        "$1",
        "\\.",
        "\x01",
    ),
)
NAMES = (
    "plain",
    "Mixed Case",
    "select",
    'quo"te',
    "back`tick",
    "per%cent",
    "se;mi",
    "é中",
    "apo'x",
)


class StatementContract(ContractBase):
    """Statements and what they give."""

    def test_rows_answer_by_name_and_by_position(self) -> None:
        """A row is a dict in column order that also knows `col_N`."""
        (row,) = self.open().execute_query("SELECT 1 AS one, 'x' AS two")
        assert (row, list(row)) == ({"one": 1, "two": "x"}, ["one", "two"])
        assert (row["col_0"], row["col_1"]) == (1, "x")

    def test_columns_of_one_name_keep_their_positions(self) -> None:
        """Two columns of one name are both there."""
        result = self.open().execute("SELECT 1 AS a, 2 AS a")
        assert (result.columns, result.rows) == (("a", "a"), ((1, 2),))

    def test_statements_without_rows_give_none(self) -> None:
        """DDL, DML and empty results are `[]`."""
        session = self.open()
        for sql in (
            "CREATE TABLE u (a INT)",
            "INSERT INTO u VALUES (1)",
            "SELECT * FROM u WHERE a = 2",
            "DELETE FROM u",
            "DROP TABLE u",
        ):
            assert session.execute_query(sql) == []
        session.query_drop("SELECT 1")

    def test_every_statement_of_a_text_runs_and_every_result_is_kept(self) -> None:
        """Several results of one text are all drained, in order, and the next answer is its own."""
        session = self.open()
        result = session.execute("SELECT 1; INSERT INTO t VALUES (7, 'x'); SELECT id FROM t")
        answers = [one.rows for one in (result, *result.more) if one.columns]
        assert answers == [((1,),), ((7,),)]
        assert session.execute("SELECT 3").rows == ((3,),)

    def test_values_travel_as_parameters(self) -> None:
        """Whatever a text holds, as a parameter it is only a value."""
        session = self.open()
        sql = f"INSERT INTO t VALUES ({self.marks(2)})"
        for number, text in enumerate(TEXTS):
            session.execute(sql, (number, text))
        session.execute(sql, (-1, None))
        assert self.rows() == ((-1, None), *enumerate(TEXTS))

    def test_a_percent_sign_is_only_a_sign_without_parameters(self) -> None:
        """A text without parameters is sent as it is."""
        assert self.open().execute("SELECT '%s %d %%' AS p").rows == (("%s %d %%",),)

    def test_a_batch_runs_for_each_row(self) -> None:
        """It tells the rows affected, also of statements that are no INSERT."""
        session = self.open()
        mark = self.target.dialect.placeholder
        insert = f"INSERT INTO t (id, v) VALUES ({self.marks(2)})"
        assert session.execute_batch(insert, [(i, "x") for i in range(5)]) == 5
        assert session.affected_row_count == 5
        update = f"UPDATE t SET v = {mark} WHERE id >= {mark}"
        assert session.execute_batch(update, [("y", 4), ("z", 3)]) == 3
        assert session.execute_batch(insert, []) == 0

    def test_a_batch_is_all_or_nothing(self) -> None:
        """When one row is refused outside a transaction, none of them stays."""
        session = self.open()
        with self.fails(StatementFailed):
            session.execute_batch(
                f"INSERT INTO t VALUES ({self.marks(2)})", [(1, "a"), (2, "b"), (1, "c")]
            )
        assert not self.is_in_transaction(session)
        assert self.rows() == ()

    def test_a_bulk_load_stores_every_value_as_it_is(self) -> None:
        """Ten thousand rows with hostile texts and NULLs come back unchanged."""
        rows = [(i, None if i % 11 == 0 else TEXTS[i % len(TEXTS)]) for i in range(10_000)]
        session = self.open()
        assert session.bulk_load("t", ("id", "v"), iter(rows)) == 10_000
        assert self.rows() == tuple(rows)
        assert session.bulk_load("t", ("id", "v"), []) == 0

    def test_a_bulk_load_keeps_decimals(self) -> None:
        """Exact numbers stay exact."""
        kind = self.claim(self.decimal_type, "decimals")
        self._load(kind, [Decimal("1.500"), Decimal("-123456789.125"), None, Decimal("0.001")])

    def test_a_bulk_load_keeps_dates(self) -> None:
        """Dates come back as dates."""
        kind = self.claim(self.date_type, "dates")
        self._load(kind, [date(2000, 2, 29), None, date(1999, 12, 31)])

    def _load(self, kind: str, values: list[object]) -> None:
        session = self.open()
        session.execute(f"CREATE TABLE u (id INT, x {kind})")
        session.bulk_load("u", ("id", "x"), list(enumerate(values)))
        found = session.execute("SELECT x FROM u ORDER BY id").rows
        assert [row[0] for row in found] == values

    def test_a_bulk_load_is_all_or_nothing(self) -> None:
        """When one row is refused, none of the load stays."""
        session = self.open()
        rows = [(i, "x") for i in range(3000)]
        with self.fails(StatementFailed):
            session.bulk_load("t", ("id", "v"), [*rows, (0, "again")])
        assert not self.is_in_transaction(session)
        assert self.rows() == ()

    def test_a_bulk_load_joins_an_open_transaction(self) -> None:
        """Inside a transaction the load is undone with it."""
        session = self.open()
        session.start_transaction()
        session.bulk_load("t", ("v", "id"), [("x", 1)])
        session.rollback()
        assert self.rows() == ()

    def test_hostile_names_are_only_names(self) -> None:
        """Tables and columns of any name can be made, loaded, read and dropped."""
        session, quote = self.open(), self.target.dialect.quote
        for name in NAMES:
            session.execute(f"CREATE TABLE {quote(name)} ({quote(name)} INT)")
            session.bulk_load(name, (name,), [(1,), (2,)])
            result = session.execute(f"SELECT * FROM {quote(name)} ORDER BY 1")
            assert (result.columns, result.rows) == ((name,), ((1,), (2,)))
            session.execute(f"DROP TABLE {quote(name)}")

    def test_the_affected_rows_are_told(self) -> None:
        """Of INSERT, UPDATE and DELETE, and of a statement that hits nothing."""
        session, counts = self.open(), []
        for sql in (
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')",
            "UPDATE t SET v = 'x' WHERE id > 1",
            "DELETE FROM t WHERE id = 1",
            "DELETE FROM t WHERE id = 1",
        ):
            session.execute(sql)
            counts.append(session.affected_row_count)
        assert counts == [3, 2, 1, 0]

    def test_the_generated_key_is_told(self) -> None:
        """Of the INSERT that generated it, and of no other statement."""
        column = self.claim(self.auto_key, "generated keys")
        session = self.open()
        session.execute(f"CREATE TABLE u (id {column}, v INT)")
        keys = []
        for _ in range(2):
            session.execute("INSERT INTO u (v) VALUES (5)")
            keys.append(session.last_insert_id)
        assert session.execute("SELECT id FROM u ORDER BY id").rows == tuple((key,) for key in keys)
        session.execute("UPDATE u SET v = 6")
        assert session.last_insert_id is None

    def test_warnings_come_with_their_statement(self) -> None:
        """They are there after it, and gone after the next."""
        if self.warning is None:
            self.claim(None, "warnings")
            return
        session = self.open()
        session.execute(self.warning[0])
        assert self.warning[1].lower() in " ".join(session.warnings).lower()
        session.execute("SELECT 1")
        assert session.warnings == ()
