"""README and docs: examples run, links lead somewhere, commands exist, words are used."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from test_rig.cli.app import app
from test_rig.settings import clear_config_extensions
from test_rig.workflow.catalog import forget

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODULES = sorted((ROOT / "src" / "test_rig").rglob("*.py"))


@pytest.fixture(autouse=True)
def _no_extensions() -> Iterator[None]:
    """An example that registers an extension or marks a task must not change the next one."""
    forget()
    yield
    clear_config_extensions()


def blocks(language: str) -> list[tuple[str, str]]:
    """Return (page, text) of each fenced block of a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (f"{page.relative_to(ROOT)}#{number}", text)
        for page in PAGES
        for number, text in enumerate(pattern.findall(page.read_text()), start=1)
    ]


@pytest.mark.parametrize(("place", "code"), blocks("python"), ids=lambda value: value[:40])
def test_python_examples_run(
    place: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Python block of README and docs runs as it stands, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    exec(compile(code, place, "exec"), {"__name__": "__main__"})


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the repository, and a heading of it if it names one."""
    missing = []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(link)
    assert missing == []


def shown(program: str) -> list[list[str]]:
    """Return the command lines of a program that the pages show, as words."""
    text = "\n".join(text for _, text in [*blocks("console"), *blocks("sh")])
    lines = [line.strip().removeprefix("$ ") for line in text.replace("\\\n", " ").splitlines()]
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith(program)]
    assert commands, f"no page shows {program}"
    return [words[1:] for words in commands if words[0] == program]


def complaint(words: list[str]) -> str | None:
    """Return what is wrong with a `test-rig` command line: a command or an option it lacks."""
    command, rest = get_command(app), list(words)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    known = {name for each in command.params for name in each.opts + each.secondary_opts}
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)}
    lacking = used - known - {"--help"}
    return f"no option {', '.join(sorted(lacking))}" if lacking else None


@pytest.mark.parametrize("words", shown("test-rig"), ids=" ".join)
def test_the_commands_that_the_pages_show_exist(words: list[str]) -> None:
    """Every command in an example is one, with every option that it is shown with."""
    assert complaint(words) is None


def test_a_wrong_command_in_a_page_would_be_noticed() -> None:
    """A command that is not there, within a group too, and an option that is another's."""
    assert complaint(["adit"]) == "no command adit"
    assert complaint(["config", "shew"]) == "no command shew"
    assert complaint(["config", "show", "--junit", "x"]) == "no option --junit"


def test_what_the_pages_make_can_be_made() -> None:
    """Every `make` of an example is a target of the Makefile, and each target says what it does."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = re.findall(r"^([a-z]+):.*## \w", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert told == targets
    assert {words[0] for words in shown("make")} <= set(targets)


def test_every_command_is_shown_somewhere() -> None:
    """No command of the command line is left out of README and docs."""
    root = get_command(app)
    names = [
        f"test-rig {name} {inner}" if inner else f"test-rig {name}"
        for name, command in root.commands.items()  # type: ignore[attr-defined]  # a group
        for inner in getattr(command, "commands", {"": None})
    ]
    text = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_examples_in_docstrings_are_true(path: Path) -> None:
    """Every `>>>` example of a docstring gives what it shows."""
    if ">>>" not in path.read_text():
        return
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_decision_is_listed() -> None:
    """Decisions are numbered without a gap, listed with their titles, and a page at most."""
    folder = ROOT / "docs" / "decisions"
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    titles = [(path, path.read_text().splitlines()[0].removeprefix("# ")) for path in records]
    rows = re.findall(r"^\| (\[.+)$", (folder / "README.md").read_text(), re.MULTILINE)
    assert rows == [
        f"[{number:04}]({path.name}) | {title} |" for number, (path, title) in enumerate(titles, 1)
    ]
    assert [path.name for path in records if len(path.read_text().splitlines()) > 60] == []


def test_the_glossary_holds_the_words_that_are_used() -> None:
    """Its terms stand in order, each once, and each is a word of the code or of another page."""
    page = ROOT / "docs" / "glossary.md"
    terms = re.findall(r"^\| ([^|]+?) \| ", page.read_text(), re.MULTILINE)[1:]
    assert terms == sorted(set(terms))
    texts = [path.read_text().lower() for path in [*MODULES, *PAGES] if path != page]
    assert [term for term in terms if not any(term in text for text in texts)] == []
