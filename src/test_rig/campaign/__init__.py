"""Campaigns: a matrix of targets, levels, checks and seeds, run durably and compared.

How to think of it: a file says what is multiplied (`document`); its *plan* has every
run, or tells everything that is wrong. The plan becomes a workflow (`conduct`): each run is done in
a process of its own, here or on a cluster, and its *outcome* is recorded once. A *summary* puts the
outcomes beside each other, and beside those of an earlier campaign.
"""

from test_rig.campaign.conduct import Teller
from test_rig.campaign.folder import CampaignFolder, find_campaign, list_campaigns
from test_rig.campaign.junit import render_junit
from test_rig.campaign.page import render_html
from test_rig.campaign.plan import make_plan
from test_rig.campaign.planned import (
    Check,
    CheckKind,
    Plan,
    PlannedRun,
    RunOutcome,
    Standing,
)
from test_rig.campaign.run import (
    Opened,
    open_campaign,
    reopen_campaign,
    run_campaign,
    summary_of,
)
from test_rig.campaign.summary import Summary, summarise
from test_rig.campaign.text import outcome_line, render_text

__all__ = [
    "CampaignFolder",
    "Check",
    "CheckKind",
    "Opened",
    "Plan",
    "PlannedRun",
    "RunOutcome",
    "Standing",
    "Summary",
    "Teller",
    "find_campaign",
    "list_campaigns",
    "make_plan",
    "open_campaign",
    "outcome_line",
    "render_html",
    "render_junit",
    "render_text",
    "reopen_campaign",
    "run_campaign",
    "summarise",
    "summary_of",
]
