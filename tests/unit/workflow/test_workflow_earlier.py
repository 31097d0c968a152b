"""The names of earlier scripts."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import cloacina
import cloacina_sqlite
from test_rig.workflow.catalog import forget


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    for spelling in ("cloacina", "cloacina_sqlite", "cloacina_postgres"):
        forget(spelling)  # what examples of the docs left
    yield
    for spelling in ("cloacina", "cloacina_sqlite", "cloacina_postgres"):
        forget(spelling)


async def played(module: ModuleType, url: str) -> dict[str, Any]:
    """Run the script that everybody begins with."""

    @module.task(task_id="process_data")
    def process_data(context: dict[str, Any]) -> dict[str, Any]:
        return {"processed": True, "count": context.get("count", 0) + 1}

    workflow = module.Workflow("test_workflow")
    executor = module.UnifiedExecutor()
    await executor.initialize(url)
    try:
        found: dict[str, Any] = await executor.execute(workflow, {"input": "test"})
        return found
    finally:
        executor.shutdown()


@pytest.mark.parametrize("module", [cloacina, cloacina_sqlite])
@pytest.mark.parametrize("form", ["sqlite://:memory:", "sqlite:///{}", "{}"])
def test_the_usual_script_runs(module: ModuleType, form: str, tmp_path: Path) -> None:
    """It gets status, final context and the tasks' results."""
    result = asyncio.run(played(module, form.format(tmp_path / "w.db")))
    assert result["status"] == "Completed"
    assert result["final_context"] == {"input": "test", "processed": True, "count": 1}
    assert result["task_results"]["process_data"]["status"] == "Completed"


def test_backends_refuse_each_others_urls() -> None:
    """With the words that scripts look for; and none has a default."""
    executor = cloacina_sqlite.UnifiedExecutor()
    with pytest.raises(ValueError, match="Invalid database URL format for this backend: postgres"):
        asyncio.run(executor.initialize("postgresql://localhost:5432/cloacina"))
    with pytest.raises(TypeError):
        asyncio.run(executor.initialize())  # type: ignore[call-arg]  # the test's point
    assert not cloacina_sqlite.is_valid_url_format("postgresql://localhost/x")


def test_each_spelling_has_its_own_tasks_in_one_list() -> None:
    """A workflow takes those of its own module; all are listed, and may be named."""
    cloacina.task("one")(lambda context: {"one": 1})
    cloacina_sqlite.task("two")(lambda context: {"two": 2})
    assert [each.task_id for each in cloacina_sqlite.Workflow("w").tasks] == ["two"]
    assert {"one", "two"} <= set(cloacina.get_all_python_tasks())
    assert [each.task_id for each in cloacina.Workflow("v", ["two"]).tasks] == ["two"]


def test_installed_backends_are_found() -> None:
    """Those whose driver is there."""
    found = cloacina._discover_backends()
    assert found["sqlite"] is cloacina_sqlite
    assert importlib.import_module("cloacina_postgres") is found["postgres"]


def test_a_context_is_checked_in_both_directions() -> None:
    """Values come back as JSON gives them; what is none is named."""
    assert cloacina.context_to_python(cloacina.context_from_python({"a": [1]})) == {"a": [1]}
    with pytest.raises(ValueError, match="context\\['a'\\]"):
        cloacina.context_from_python({"a": {1}})
