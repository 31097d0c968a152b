"""For those who test with the rig, or extend it: public fakes and contract tests.

- `InMemoryTarget`: an honest stand-in for a database, for unit tests of handlers.
- `TargetContract`: what every dialect must do, as a pytest-style class to be subclassed.
- `DriverContract`: the same for drivers of actions.
"""

from test_rig.testing.contract_driver import DriverContract
from test_rig.testing.in_memory import InMemoryTarget
from test_rig.testing.target_contract import TargetContract

__all__ = ["DriverContract", "InMemoryTarget", "TargetContract"]
