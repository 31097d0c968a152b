"""What every database must do behind the rig's sessions, as tests that a dialect must pass.

How to use it: subclass `TargetContract` in a test module, name the class `Test...`, give the URL of
a target that may be written to, and state where the database differs::

    class TestMyDatabase(TargetContract):
        url = "mydb://user@127.0.0.1:1234/test"
        slow_sql = "SELECT MY_SLEEP(60)"

Every test works in a private namespace, which is removed afterwards. What a database cannot do is
claimed by setting the attribute to None; its tests are then skipped, with the claim as the reason.
The tests themselves live in modules by theme; this one puts them together.
"""

from __future__ import annotations

from test_rig.testing.contract_base import ContractBase
from test_rig.testing.contract_failures import FailureContract
from test_rig.testing.contract_places import PlaceContract
from test_rig.testing.contract_statements import StatementContract
from test_rig.testing.contract_transactions import TransactionContract

__all__ = ["TargetContract"]


class TargetContract(
    StatementContract, TransactionContract, FailureContract, PlaceContract, ContractBase
):
    """The whole contract of a target. See the module for how to use it."""
