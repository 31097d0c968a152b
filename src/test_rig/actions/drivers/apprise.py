"""`apprise`: people told by mail, chat or pager; the library knows the services."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, in_key_order
from test_rig.actions.event import AlertEvent, Event
from test_rig.actions.options import Options
from test_rig.actions.template import Template, checked_template
from test_rig.errors import UsageError

if TYPE_CHECKING:
    import apprise

__all__ = ["DRIVER", "AppriseDriver", "AppriseOptions"]

_TITLE = "{% if type == 'alert' %}{{ severity }}: {{ alert_type }}{% else %}{{ type }}{% endif %}"
_BODY = (
    "{% if type == 'alert' %}{{ message }} ({{ status }}){% elif type == 'measurement' %}"
    "{{ name }} = {{ value }} {{ unit }}{% else %}cleared{% endif %}"
)
_KINDS = {"info": "info", "warning": "warning", "critical": "failure"}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class AppriseOptions(Options):
    """Who is told, and in which words."""

    urls: Annotated[tuple[SecretStr, ...], BeforeValidator(_listed), Field(min_length=1)] = Field(
        description="Services as Apprise spells them, such as mailto://...; one or a list. Never "
        "printed: they hold tokens."
    )
    title: Annotated[str, AfterValidator(checked_template)] = Field(
        default=_TITLE, description="A template of the title."
    )
    body: Annotated[str, AfterValidator(checked_template)] = Field(
        default=_BODY, description="A template of the text."
    )


class AppriseDriver:
    """Hands each event to the services, one after the other."""

    def __init__(self, options: AppriseOptions) -> None:
        self._options = options
        self._title, self._body = Template(options.title), Template(options.body)
        self._services: apprise.Apprise | None = None

    async def start(self) -> None:
        """Read the services' URLs.

        Raises:
            UsageError: The library does not know one of them.
        """
        import apprise  # a third of a second that nobody else should pay

        services = apprise.Apprise()
        for number, url in enumerate(self._options.urls, start=1):
            if not services.add(url.get_secret_value()):
                raise UsageError("no service that Apprise knows", where=f"urls[{number}]")
        self._services = services

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Tell of each event in turn."""
        return await in_key_order(batch, self._tell, concurrency=1)

    async def stop(self, *, timeout_s: float) -> None:
        """Do nothing: no connection is kept."""
        del timeout_s

    async def status(self) -> Mapping[str, Any]:
        """Tell how many services there are."""
        count = 0 if self._services is None else len(self._services)
        return {"driver_type": "apprise", "services": count}

    async def _tell(self, event: Event) -> Delivery:
        if self._services is None:
            return retry("not started")
        kind = "info"
        if isinstance(event, AlertEvent):
            is_over = event.status == "resolved"
            kind = "success" if is_over else _KINDS.get(event.severity, "info")
        try:
            title, body = self._title.fill(event), self._body.fill(event)
        except ValueError as exc:
            return rejected(str(exc))
        # The library's own asynchronous way uses threads too, and hides what they raise.
        done = await asyncio.to_thread(
            self._services.notify, body=body, title=title, notify_type=kind
        )
        return DELIVERED if done else retry("not every service could be told")


def _make(options: AppriseOptions, context: DriverContext) -> AppriseDriver:
    del context
    return AppriseDriver(options)


DRIVER = DriverType(
    name="apprise",
    about="People told by mail, chat or pager, through any service that Apprise knows.",
    options=AppriseOptions,
    make=_make,
    batch_size=16,
)
