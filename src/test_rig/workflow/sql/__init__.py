"""The stores of workflows: one schema, two databases."""

from test_rig.workflow.sql.opening import open_store

__all__ = ["open_store"]
