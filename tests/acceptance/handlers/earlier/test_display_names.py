"""Answers in every spelling that was ever written down."""

from test_rig_python import PyStateHandler

SPELLINGS = (
    "Initial",
    "initial",
    "ParsingConfig",
    "Parsing Configuration",
    "parsing_config",
    "Connecting to TiDB",
    "CONNECTING",
    "Testing Connection",
    "VerifyingDatabase",
    "Getting Server Version",
    "checking_import_jobs",
    "Showing Import Job Details",
)


class SpellingsHandler(PyStateHandler):
    def enter(self, context):
        self.left = list(SPELLINGS)

    def execute(self, context):
        if self.left:
            return self.left.pop(0)
        assert context.connection.execute_query("SELECT 1 AS one")[0]["one"] == 1
        return "COMPLETED"
