"""The known states as scripts import them: `from test_rig.common_states import parsing_config`.

Each is the state itself and may be called, so `parsing_config` and `parsing_config()` are the same.
The handlers of these states are here, too, under the names that scripts register.
"""

from test_rig.machine import (
    CheckingImportJobsHandlerAdapter,
    ConnectingHandlerAdapter,
    GettingVersionHandlerAdapter,
    InitialHandlerAdapter,
    NextStateVersionHandler,
    ParsingConfigHandlerAdapter,
    ShowingImportJobDetailsHandlerAdapter,
    State,
    TestingConnectionHandlerAdapter,
    VerifyingDatabaseHandlerAdapter,
    dynamic_state,
)

__all__ = [
    "CheckingImportJobsHandlerAdapter",
    "ConnectingHandlerAdapter",
    "GettingVersionHandlerAdapter",
    "InitialHandlerAdapter",
    "NextStateVersionHandler",
    "ParsingConfigHandlerAdapter",
    "ShowingImportJobDetailsHandlerAdapter",
    "TestingConnectionHandlerAdapter",
    "VerifyingDatabaseHandlerAdapter",
    "checking_import_jobs",
    "completed",
    "connecting",
    "dynamic_state",
    "error",
    "getting_version",
    "initial",
    "parsing_config",
    "reporting",
    "showing_import_job_details",
    "testing_connection",
    "verifying_database",
]

initial = State.initial
parsing_config = State.parsing_config
connecting = State.connecting
testing_connection = State.testing_connection
verifying_database = State.verifying_database
getting_version = State.getting_version
checking_import_jobs = State.checking_import_jobs
showing_import_job_details = State.showing_import_job_details
reporting = State.reporting
completed = State.completed
error = State.error
