"""A run is a folder: what was asked, what happened, what was concluded.

How to think of it: `RunFolder.create` makes the folder and hands out its one `RunWriter`; whatever
happens is written as it happens, so that a run that is killed can still be read and reported.
`RunFolder.open`, `find_run` and `list_runs` read. Nothing is kept anywhere else: a folder copied to
another machine is the whole run.

==================  ==============================================================================
`run.json`          command, settings without secrets, seed, versions, times, status, verdict
`results.json`      the verdict, replaced as a whole after every finished level
`history.arrow`     every operation, as an Arrow stream; there only if something was recorded
`measurements.arrow`  every measurement, as an Arrow stream; there only if something was measured
`log.jsonl`         one JSON object to a line; locked by the process that writes the run
==================  ==============================================================================
"""

from test_rig.runs.find import find_run, list_runs
from test_rig.runs.folder import RunFolder
from test_rig.runs.jsontext import decode_json, encode_json
from test_rig.runs.record import RunRecord, RunStatus
from test_rig.runs.versions import versions
from test_rig.runs.writer import RunWriter

__all__ = [
    "RunFolder",
    "RunRecord",
    "RunStatus",
    "RunWriter",
    "decode_json",
    "encode_json",
    "find_run",
    "list_runs",
    "versions",
]
