"""What every command that talks to a database does first: settings, log, targets, password."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from rich.console import Console

from test_rig.cli import logs
from test_rig.cli.masking import masked
from test_rig.cli.options import CommonOptions, load_config, prompt_for_password
from test_rig.errors import ConnectFailed, FailureKind
from test_rig.rig import target_urls
from test_rig.targets import SqlEvent, SqlListener, TargetUrl

if TYPE_CHECKING:
    from test_rig.settings import OptionValue

__all__ = ["Door"]

T = TypeVar("T")


class Door:
    """The settings in force and the targets that they and the arguments name.

    Args:
        common: The shared options.
        given: Targets given as arguments; those of the settings where empty.
        extra: Values of the command's own options, by settings key.
    """

    def __init__(
        self,
        common: CommonOptions,
        given: Sequence[str],
        *,
        extra: Mapping[str, OptionValue] | None = None,
    ) -> None:
        only = given[0] if len(given) == 1 else None
        self.config = load_config(common, target=only, extra=extra)
        logs.mask(*self.config.secrets())
        logs.configure(self.config.logging, level=logs.effective_level(self.config))
        self.targets = target_urls(self.config, given if len(given) > 1 else ())
        logs.mask(*(url.password for url in self.targets if url.password))
        #: Progress and messages; results go to standard output.
        self.console = Console(stderr=True)
        if not self.config.test.real_db:
            self.console.print(
                "The in-memory stand-in serves this run, no real database: test.real_db is off "
                f"({self.config.origin('test.real_db')}).",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )

    @property
    def argv(self) -> tuple[str, ...]:
        """The command line with its passwords masked."""
        return ("test-rig", *masked(sys.argv[1:]))

    @property
    def sql_listener(self) -> SqlListener | None:
        """What shows every statement where `--show-sql` asks for it."""
        return self._show_sql if self.config.logging.show_sql else None

    def _show_sql(self, event: SqlEvent) -> None:
        end = event.error or ("" if event.row_count is None else f"{event.row_count} rows")
        text = " ".join(event.sql.split())
        self.console.print(
            f"SQL [{event.session}] {event.duration_s * 1000:8.2f} ms  {text}  {end}".rstrip(),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    def with_password(self, work: Callable[[Sequence[TargetUrl]], T]) -> T:
        """Do the work; where the only target wants a password and has none, ask and try again."""
        try:
            return work(self.targets)
        except ConnectFailed as error:
            if error.failure.kind is not FailureKind.AUTHENTICATION or len(self.targets) != 1:
                raise
            (url,) = self.targets
            if url.password is not None:
                raise
            password = prompt_for_password(url.safe(), allowed=self.config.database.password_prompt)
            if password is None:
                raise
        logs.mask(password)
        self.targets = [replace(url, password=password)]
        return work(self.targets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        logs.shut_down()
