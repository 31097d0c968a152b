"""Target URLs: read as people write them, and never telling a password."""

from __future__ import annotations

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import TargetUrlError, UnknownName
from test_rig.targets import Target, TargetUrl

SECRET = "s3cret-value"
NAMES = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text)
HOSTS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,10}(\.[a-z]{2,5})?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
)


@pytest.mark.parametrize(
    ("text", "scheme", "address"),
    [
        ("sqlite:///file.db", "sqlite", "file.db"),
        ("sqlite:////var/file.db", "sqlite", "/var/file.db"),
        ("duckdb:///a%20b.duckdb", "duckdb", "a b.duckdb"),
        ("sqlite://", "sqlite", "sqlite temporary file"),
        ("sqlite://:memory:", "sqlite", "sqlite temporary file"),
        ("postgresql://u@h/db", "postgresql", "h:5432"),
        ("POSTGRES://u@h/db", "postgresql", "h:5432"),
        ("mysql://h", "mysql", "h:3306"),
        ("mariadb://h", "mysql", "h:3306"),
        ("tidb://h", "tidb", "h:4000"),
        ("tidb://[::1]:4001/db", "tidb", "[::1]:4001"),
        ("h:4000", "tidb", "h:4000"),
        ("h:5432", "postgresql", "h:5432"),
        ("h:3306", "mysql", "h:3306"),
        ("h:3391", "mysql", "h:3391"),
        ("h", "tidb", "h:4000"),
        ("[::1]:3306", "mysql", "[::1]:3306"),
        ("::1", "tidb", "[::1]:4000"),
    ],
)
def test_a_target_is_read_as_it_is_written(text: str, scheme: str, address: str) -> None:
    """Schemes, aliases, default ports, files and bare hosts each lead to their target."""
    url = TargetUrl.parse(text)
    assert (url.scheme, url.address()) == (scheme, address)


def test_every_part_is_decoded() -> None:
    """User, password, database and options may hold any character, percent-encoded."""
    url = TargetUrl.parse("postgresql://a%40b:p%2F%3A%23@h:1/d%20b?sslmode=require&x=%26")
    assert (url.user, url.password, url.database) == ("a@b", "p/:#", "d b")
    assert url.options == {"sslmode": "require", "x": "&"}


@given(user=NAMES, password=st.text(max_size=12), host=HOSTS, port=st.integers(1, 65535))
def test_a_safe_url_leads_to_the_same_place(user: str, password: str, host: str, port: int) -> None:
    """What a report prints can be read again, and gives everything but the password."""
    url = TargetUrl.from_parts(
        scheme="mysql", host=f"[{host}]" if ":" in host else host, port=port, user=user,
        password=password, database="d/b",
    )  # fmt: skip
    again = TargetUrl.parse(url.safe())
    assert (again.user, again.host, again.port, again.database) == (user, host, port, "d/b")
    assert again.password is None


@given(st.text(alphabet=string.ascii_letters, min_size=8, max_size=12))
def test_no_text_of_a_url_tells_its_password(password: str) -> None:
    """`str`, `repr`, `safe` and `address` leave the password out."""
    url = TargetUrl.from_parts(host="h", scheme="mysql", password=f"!{password}!")
    shown = f"{url} {url!r} {url.safe()} {url.address()}"
    assert f"!{password}!" not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"oracle://u:{SECRET}@h/db",
        f"u:{SECRET}@h://x",
        f"u:{SECRET}@h:4000",
        f"u:{SECRET}@h",
        f"mysql://u:{SECRET}@h:port/db",
        f"mysql://u:{SECRET}@h:70000/db",
        f"mysql://u:{SECRET}@h:0/db",
        f"mysql://u:{SECRET}@[::1/db",
        f"mysql://u:1/{SECRET}@h/db",
        f"mysql://u:1#{SECRET}@h/db",
        f"mysql://u:1?{SECRET}@h/db",
        f"sqlite://u:{SECRET}@h/db#x",
        "h:0",
        "h:x",
        "h:-1",
        "[::1]x",
    ],
)
def test_a_text_that_names_no_target_is_refused_without_its_password(text: str) -> None:
    """The error says what to do, and nothing of what may be a password."""
    with pytest.raises(TargetUrlError) as caught:
        TargetUrl.parse(text)
    assert caught.value.todo
    assert SECRET not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_a_clear_error(text: str) -> None:
    """Nothing but `TargetUrlError` ever comes out of reading a text."""
    with suppress(TargetUrlError):
        TargetUrl.parse(text)


def test_parts_given_by_themselves_win() -> None:
    """Separate port, user, password and database replace those inside the host's URL."""
    url = TargetUrl.from_parts(
        host="mysql://u:p@h:1/d", port=2, user="v", password="", database="e"
    )
    assert (url.user, url.password, url.port, url.database) == ("v", "", 2, "e")


@pytest.mark.parametrize(
    ("port", "scheme", "expected"),
    [
        (None, None, ("tidb", 4000)),
        (5432, None, ("postgresql", 5432)),
        (3307, None, ("mysql", 3307)),
        (None, "postgres", ("postgresql", 5432)),
        (4000, "mysql", ("mysql", 4000)),
    ],
)
def test_scheme_and_port_fill_each_other_in(
    port: int | None, scheme: str | None, expected: tuple[str, int]
) -> None:
    """The port tells the scheme and the scheme the port, where only one is given."""
    url = TargetUrl.from_parts(host="h", port=port, scheme=scheme)
    assert (url.scheme, url.port) == expected


def test_the_port_by_itself_wins_over_the_one_in_the_host() -> None:
    """`host="h:4000", port=5432` is port 5432, with the scheme that belongs to it."""
    assert TargetUrl.from_parts(host="h:4000", port=5432).address() == "h:5432"


def test_an_embedded_scheme_takes_its_file_as_the_database() -> None:
    """Separate parts can name an embedded target too."""
    assert TargetUrl.from_parts(scheme="sqlite", database="a.db").address() == "a.db"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    """A port that does not exist is an error, not a default."""
    with pytest.raises(TargetUrlError):
        TargetUrl.from_parts(host="h", port=port)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("sqlite://?busy_timeot=3", "busy_timeout"),
        ("duckdb://?threads=3", "none"),
        ("postgresql://h/d?sslmod=require", "sslmode"),
        ("mysql://h/d?ssl_cert=x", "ssl_ca"),
    ],
)
def test_an_option_that_nobody_reads_is_refused(url: str, meant: str) -> None:
    """A typo is told before anything is connected, with the options that there are."""
    with pytest.raises(UnknownName, match=meant):
        Target.open(url)


def test_a_missing_authority_is_named() -> None:
    """The file of `ssl_ca` must be there."""
    with pytest.raises(TargetUrlError, match="ssl_ca is no file: /no/such"):
        Target.open("mysql://h/d?ssl_ca=/no/such")
