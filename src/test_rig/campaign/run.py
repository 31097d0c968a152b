"""A campaign from its file to its summary, and going on with one that was interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.campaign.cluster import Cluster
from test_rig.campaign.conduct import Doer, Teller, conduct, outcomes_so_far
from test_rig.campaign.folder import CampaignFolder, find_campaign, list_campaigns
from test_rig.campaign.junit import render_junit
from test_rig.campaign.page import render_html
from test_rig.campaign.plan import Ready, make_plan
from test_rig.campaign.planned import CampaignRecord, RunOutcome
from test_rig.campaign.process import run_order
from test_rig.campaign.summary import Summary, summarise
from test_rig.campaign.text import render_text
from test_rig.errors import UnknownName, UsageError
from test_rig.resilience import without_passwords
from test_rig.runs import encode_json
from test_rig.settings import AppConfig

__all__ = ["Opened", "open_campaign", "reopen_campaign", "run_campaign", "summary_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A campaign that can be run: its folder, and its plan with what is not kept."""

    folder: CampaignFolder
    ready: Ready
    #: How many of its runs had ended before; None for a new campaign.
    done: int | None = None


def open_campaign(
    path: Path, config: AppConfig, *, is_new: bool = False, against: str | None = None
) -> Opened:
    """Return the campaign of a file: the one that was interrupted, or a new one.

    Args:
        path: The campaign's file.
        config: The settings: where campaigns are kept.
        is_new: Whether to begin anew, though one of this file was interrupted.
        against: The earlier campaign that this one is to be compared with.

    Raises:
        UsageError: The file cannot be read, or the earlier campaign.
        UnknownName: There is no such earlier campaign.
        CampaignInvalid: With everything that is wrong in it.
        RunFolderError: The folder cannot be made.
    """
    ready = make_plan(path, config)
    root = Path(config.campaigns.folder)
    if not is_new:
        for folder in list_campaigns(root):
            if folder.name != ready.plan.name:
                continue
            record = folder.record()
            if record.plan.digest == ready.plan.digest and record.finished is None:
                return _opened(folder, ready, config, against)
    if against is not None:
        _earlier(ready.plan.name, None, against, config)
    folder = CampaignFolder.create(root, ready.plan, store=_safe_store(config))
    return Opened(folder=folder, ready=ready)


def reopen_campaign(name: str, config: AppConfig, *, against: str | None = None) -> Opened:
    """Return an interrupted campaign, to go on with it.

    Raises:
        UnknownName: There is no such campaign, or none to compare it with.
        UsageError: It is over, or its file says something else now.
    """
    folder = find_campaign(Path(config.campaigns.folder), name)
    record = folder.record()
    if record.finished is not None:
        todo = "start another one: test-rig campaign run FILE"
        raise UsageError("the campaign is over", where=str(folder.path), todo=todo)
    ready = make_plan(Path(record.plan.file), config)
    if ready.plan.digest != record.plan.digest:
        raise UsageError(
            "its file says something else than when it began",
            where=record.plan.file,
            todo="put it back, or start anew: test-rig campaign run FILE",
        )
    return _opened(folder, ready, config, against)


def _opened(folder: CampaignFolder, ready: Ready, config: AppConfig, against: str | None) -> Opened:
    record = folder.record()
    if record.store != _safe_store(config) and not folder.has_begun:
        # A store that was not named, or not reached, binds nobody.
        record = replace(record, store=_safe_store(config))
        folder.write(record)
    if record.store is None and config.campaigns.url is not None:
        what = "its progress is recorded in a file in its folder"
        raise UsageError(what, where=str(folder.path), todo="leave --store out")
    if against is not None:
        _earlier(record.plan.name, folder, against, config)
    return Opened(folder=folder, ready=ready, done=len(_so_far(folder, record, config)))


def _so_far(
    folder: CampaignFolder, record: CampaignRecord, config: AppConfig
) -> tuple[RunOutcome, ...]:
    """Return what is recorded of a campaign, from where it is recorded."""
    if record.finished is None and record.store not in (None, _safe_store(config)):
        what = f"its progress is recorded in {record.store}"
        todo = f"name it: --store {record.store}"
        raise UsageError(what, where=str(folder.path), todo=todo)
    return outcomes_so_far(folder, record, config.campaigns.url if record.store else None)


def _safe_store(config: AppConfig) -> str | None:
    return None if config.campaigns.url is None else without_passwords(config.campaigns.url)


def run_campaign(
    opened: Opened,
    config: AppConfig,
    *,
    teller: Teller,
    config_files: Sequence[Path] = (),
    cluster: str | None = None,
    against: str | None = None,
) -> Summary:
    """Do the runs of a campaign that are left, and write its summary.

    Args:
        opened: The campaign.
        config: The settings.
        teller: Is told how it goes on.
        config_files: Settings files for the runs; those of the working folder where empty.
        cluster: The address of a scheduler whose workers do the runs.
        against: The earlier campaign to compare with: a folder, an id, a name, or `last`.

    Raises:
        UsageError: Another process works on it, or it cannot be done on a cluster.
        WorkflowError: The store or the cluster cannot be reached.
    """
    if cluster is None:
        return _conducted(opened, config, run_order, teller, config_files, against)
    _check_cluster(opened.ready, config)
    with Cluster(cluster) as there:
        return _conducted(opened, config, there.run_order, teller, config_files, against)


def _check_cluster(ready: Ready, config: AppConfig) -> None:
    url = config.campaigns.url
    if url is None or not url.startswith("postgresql"):
        raise UsageError(
            "a campaign on a cluster is recorded in PostgreSQL",
            where="--cluster",
            todo="name it: --store postgresql://user@host/db",
        )
    if ready.told:
        raise UsageError(
            f"the file tells the password of {', '.join(sorted(ready.told))}, which would travel "
            "over the cluster",
            where=ready.plan.file,
            todo="name it with password_env or password_file, which each worker looks up",
        )


def _conducted(
    opened: Opened,
    config: AppConfig,
    do: Doer,
    teller: Teller,
    config_files: Sequence[Path],
    against: str | None,
) -> Summary:
    record = conduct(
        opened.folder,
        store_url=config.campaigns.url,
        urls=opened.ready.urls,
        do=do,
        teller=teller,
        config_files=tuple(str(path.absolute()) for path in config_files) or None,
    )
    del record
    return write_summary(opened.folder, config, against)


def summary_of(folder: CampaignFolder, config: AppConfig, against: str | None = None) -> Summary:
    """Return what a campaign came to so far, beside an earlier one where that is asked for.

    Raises:
        UnknownName: There is no such earlier campaign.
        UsageError: Its progress is recorded in a store that was not named.
        WorkflowError: The store cannot be reached.
    """
    record = folder.record()
    outcomes = _so_far(folder, record, config)
    earlier = None
    if against is not None:
        earlier = _earlier(record.plan.name, folder, against, config)
    return summarise(record, outcomes, folder=str(folder.path), against=earlier)


def write_summary(folder: CampaignFolder, config: AppConfig, against: str | None) -> Summary:
    """Write a campaign's summary into its folder in every form, and return it."""
    summary = summary_of(folder, config, against)
    folder.write_file("summary.json", encode_json(summary, pretty=True))
    folder.write_file("summary.txt", render_text(summary).encode())
    folder.write_file("summary.html", render_html(summary).encode())
    folder.write_file("junit.xml", render_junit(summary).encode())
    return summary


def _earlier(
    name: str, folder: CampaignFolder | None, against: str, config: AppConfig
) -> tuple[CampaignRecord, tuple[RunOutcome, ...]]:
    """Return the campaign to compare with; `last` is the last one of the same name that ended.

    Args:
        name: Of the campaign that is compared.
        folder: Where that one is; None where it is still to be made.
        against: Which one is meant.
        config: Where campaigns are kept.
    """
    root = Path(config.campaigns.folder)
    found = find_campaign(root, against) if against != "last" else None
    for each in list_campaigns(root) if found is None else ():
        is_before = folder is None or each.path.name < folder.path.name
        if each.name == name and is_before and each.record().finished is not None:
            found = each
            break
    if found is None:
        known = [each.id for each in list_campaigns(root) if each.name == name]
        what = "earlier campaign of this name that ended"
        raise UnknownName(what, against, known, where=str(root))
    record = found.record()
    return record, _so_far(found, record, config)
