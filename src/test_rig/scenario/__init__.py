"""Scenarios: scripted interleavings of sessions, run against a database and judged.

`BUILT_IN` has a scenario for each anomaly: `run_scenario` plays one at one level and gives its
cell of the table. `read_spec` reads a file of PostgreSQL's isolation tester, `run_spec` plays its
permutations; `read_scenario` and `run_own` do so for a person's own scenario with its
expectations. `expected` tells what is known of a product's level.
"""

from test_rig.scenario.expectations import Expectation, expected, surprises
from test_rig.scenario.hermitage import BUILT_IN, Scenario
from test_rig.scenario.moves import Limits
from test_rig.scenario.own import Expect, OwnResult, OwnScenario
from test_rig.scenario.own_reader import read_scenario
from test_rig.scenario.spec import (
    Blocker,
    Permutation,
    PermutationStep,
    SessionSpec,
    Spec,
    Step,
)
from test_rig.scenario.spec_reader import parse_spec, read_spec
from test_rig.scenario.stage import (
    MAX_INTERLEAVINGS,
    find_scenario,
    run_own,
    run_scenario,
    run_spec,
)
from test_rig.scenario.transcript_text import isolationtester_text, replay_sql, table_text
from test_rig.scenario.witness_order import by_search, witness_steps
from test_rig.scenario.witness_script import (
    steps_in,
    witness_played,
    witness_scenario,
    witness_spec,
)

__all__ = [
    "BUILT_IN",
    "MAX_INTERLEAVINGS",
    "Blocker",
    "Expect",
    "Expectation",
    "Limits",
    "OwnResult",
    "OwnScenario",
    "Permutation",
    "PermutationStep",
    "Scenario",
    "SessionSpec",
    "Spec",
    "Step",
    "by_search",
    "expected",
    "find_scenario",
    "isolationtester_text",
    "parse_spec",
    "read_scenario",
    "read_spec",
    "replay_sql",
    "run_own",
    "run_scenario",
    "run_spec",
    "steps_in",
    "surprises",
    "table_text",
    "witness_played",
    "witness_scenario",
    "witness_spec",
    "witness_steps",
]
