"""Finding the store that an address leads to."""

from __future__ import annotations

from test_rig.errors import MissingExtra
from test_rig.workflow.store import Address, Store

__all__ = ["has_driver", "open_store"]


def open_store(
    address: Address, *, lease_s: float = 15.0, max_connections: int = 4, is_durable: bool = True
) -> Store:
    """Connect to a store, and bring its tables to this release's version.

    Args:
        address: Where it is.
        lease_s: How long a worker that says nothing counts as alive.
        max_connections: How many connections reading may take, beside the engine's own.
        is_durable: Whether a commit waits for the disk. Without it a crash of the machine, not of
            the process, can lose the last moments.

    Raises:
        MissingExtra: The driver of this backend is not installed.
        WorkflowError: The store cannot be opened, or is of a newer release.
    """
    store: Store
    if address.backend == "sqlite":
        from test_rig.workflow.sql.sqlite import SqliteStore

        store = SqliteStore(address.place, lease_s=lease_s, is_durable=is_durable)
    else:
        if not has_driver(address.backend):
            raise MissingExtra("PostgreSQL needs psycopg", extra="postgresql")
        from test_rig.workflow.sql.postgresql import PostgresStore

        store = PostgresStore(
            address.place,
            lease_s=lease_s,
            max_connections=max_connections,
            is_durable=is_durable,
        )
    store.open()
    return store


def has_driver(backend: str) -> bool:
    """Return whether the driver of a backend is installed."""
    if backend == "sqlite":
        return True
    from importlib.util import find_spec

    return find_spec("psycopg") is not None
