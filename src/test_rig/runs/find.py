"""Finding runs by what people call them."""

from __future__ import annotations

from pathlib import Path

from test_rig.errors import RunFolderError, UnknownName
from test_rig.runs.folder import RunFolder

__all__ = ["find_run", "list_runs"]

#: How many known runs an error names.
_TOLD = 8


def list_runs(root: Path | str) -> tuple[RunFolder, ...]:
    """Return the runs under `root`, the newest first; none where there is no such folder."""
    folder = Path(root)
    if not folder.is_dir():
        return ()
    try:
        paths = [path for path in folder.iterdir() if (path / "run.json").is_file()]
    except OSError as exc:
        raise RunFolderError(f"cannot be listed: {exc.strerror}", where=str(root)) from exc
    # The name begins with the time.
    return tuple(RunFolder(path) for path in sorted(paths, key=lambda p: p.name, reverse=True))


def find_run(root: Path | str, name: Path | str) -> RunFolder:
    """Return the run that a person means by `name`.

    Args:
        root: Where the runs are.
        name: `last`, a folder, a folder's name under `root`, or a short id or its beginning.

    Raises:
        RunFolderError: There is no run at all, or the folder holds none.
        UnknownName: No run, or more than one, has that id.
    """
    runs = list_runs(root)
    if name == "last":
        if not runs:
            raise RunFolderError(
                "there is no run yet", where=str(root), todo="make one: test-rig audit"
            )
        return runs[0]
    text = str(name)
    meant = [run for run in runs if text in (run.id, run.path.name)]
    meant = meant or [run for run in runs if text and run.id.startswith(text)]
    if len(meant) == 1:
        return meant[0]
    if not meant and Path(name).is_dir():
        return RunFolder.open(name)
    known = [run.id for run in meant or runs[:_TOLD]]
    raise UnknownName("one run" if meant else "run", text, known, where=str(root))
