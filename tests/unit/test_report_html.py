"""The HTML page needs nothing but itself, and nothing that a database said acts in it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import audits
import pytest
from hostile import TEXTS, report_saying
from hypothesis import given, settings

from test_rig.report import Report, render_html
from test_rig.report.shown import shown

VOID = {"meta", "link", "path", "circle", "use", "br"}
REPORTS = {
    "embedded": audits.embedded,
    "servers": audits.servers,
    "interrupted": audits.interrupted,
    "empty": audits.report,
}


class Tree(HTMLParser):
    """Every tag with its attributes, every text, and whether what opens is closed."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an opened tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last, which must be the same."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, wherever it stands."""
        return [attrs[name] or "" for _, attrs in self.tags if name in attrs]

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return what the browser would build, without the texts."""
        return [(tag, tuple(attrs)) for tag, attrs in self.tags]


@pytest.fixture(params=REPORTS, scope="module")
def page(request: pytest.FixtureRequest) -> str:
    """Return the page of each kind of report."""
    return render_html(REPORTS[request.param]())


def test_the_page_is_well_formed(page: str) -> None:
    """Every tag that opens is closed, in order."""
    assert Tree(page).open == []


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    """No script, no address outside, no handler, no inline style: the file is the page."""
    tree = Tree(page)
    tags = {tag for tag, _ in tree.tags}
    assert not tags & {"script", "iframe", "object", "embed", "base", "form", "img", "video"}
    assert all(value.startswith(("#", "data:,")) for value in tree.values("href"))
    names = {name for _, attrs in tree.tags for name in attrs}
    assert not {name for name in names if name.startswith("on")} | (names & {"src", "style"})
    assert "@import" not in page
    assert "url(" not in page


def test_the_policy_allows_the_one_style_sheet_and_nothing_else(page: str) -> None:
    """The Content-Security-Policy names the hash of the style sheet that is there."""
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    policy = next(
        attrs["content"] or ""
        for tag, attrs in Tree(page).tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert len(styles) == 1
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_every_link_leads_somewhere(page: str) -> None:
    """An id is given once, and every address within the page has its id."""
    tree = Tree(page)
    ids = tree.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in tree.values("href") if value.startswith("#")} <= set(ids)


def test_the_table_speaks(page: str) -> None:
    """Headers have a scope, and every cell of the table says in words what its sign says."""
    tree = Tree(page)
    assert all("scope" in attrs for tag, attrs in tree.tags if tag == "th")
    signs = [attrs for tag, attrs in tree.tags if tag == "svg"]
    assert all(attrs.get("aria-hidden") == "true" for attrs in signs)
    for cell in re.findall(r'<td class="(?:forbidden|permitted|unknown)">.*?</td>', page):
        assert re.search(r'<span class="spoken">[a-z]', cell)


def test_what_breaks_a_claim_differs_from_what_is_permitted() -> None:
    """MariaDB's lost update stands out at the level that forbids it, and only there."""
    page = render_html(audits.report(audits.mariadb()))
    cells = re.findall(r'<td class="(\w+)"><a href="#t1-l(\d)-p4"', page)
    assert cells == [
        ("permitted", "1"),
        ("permitted", "2"),
        ("forbidden", "3"),
        ("prevented", "4"),
    ]


def test_a_witness_tells_the_wait_and_the_script() -> None:
    """The picture shows who waited for whom; the script has all that a replay needs."""
    text = " ".join(Tree(render_html(audits.report(audits.mariadb()))).texts)
    assert "waits for T1" in text
    assert "goes on" in text
    assert "/* T2 */ UPDATE test SET value = 11 WHERE id = 1;  -- waits for T1" in text
    assert "CREATE TABLE test (id INT PRIMARY KEY, value INT);" in text


@pytest.mark.parametrize(
    "needle",
    ["Interrupted before the end", "interrupted from the keyboard", "it was not looked for"],
)
def test_an_interrupted_run_says_what_is_missing(needle: str) -> None:
    """What was judged is shown, and what was not is told with its reason."""
    assert needle in " ".join(Tree(render_html(audits.interrupted())).texts)


@settings(max_examples=25, deadline=None)
@given(TEXTS)
def test_no_text_changes_the_page_around_it(text: str) -> None:
    """Whatever a database says, the browser builds the same elements and attributes."""
    hostile = Tree(render_html(report_saying(text)))
    harmless = Tree(render_html(report_saying("x" if text else "")))
    assert hostile.shape() == harmless.shape()
    assert hostile.open == []


@settings(max_examples=25, deadline=None)
@given(TEXTS)
def test_what_was_said_can_be_read(text: str) -> None:
    """The text is on the page, its invisible characters spelled out and nothing of it gone."""
    page = render_html(report_saying(text))
    words = [part for part in Tree(page).texts if part.startswith("v")]
    assert f"v{shown(text)}" in words
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", page
    )
    page.encode("utf-8")


def test_a_megabyte_is_cut_and_told() -> None:
    """A value of 1 MB leaves a page of a reasonable size, with a note."""
    page = render_html(report_saying("x" * 1_000_000))
    assert len(page) < 400_000
    assert "characters in all" in page


def test_a_page_is_the_same_every_time() -> None:
    """Rendering is a function of the report: nothing of the clock or the machine is in it."""
    assert render_html(audits.servers()) == render_html(audits.servers())


def test_the_templates_are_where_the_package_is() -> None:
    """A report is rendered from files beside the code, which an installation brings along."""
    import test_rig.report

    folder = Path(test_rig.report.__file__).parent / "templates"
    assert {path.name for path in folder.iterdir()} == {
        "campaign.html.j2",
        "page.css",
        "page.html.j2",
        "parts.html.j2",
        "picture.css",
        "picture.html.j2",
        "picture.svg.j2",
        "picture_alone.css",
        "suite.html.j2",
        "workload.html.j2",
    }


def test_a_run_without_results_has_a_page() -> None:
    """A run that was killed at once is a page that says so, not an error."""
    report: Report = audits.report()
    assert "Nothing was judged." in render_html(report)
