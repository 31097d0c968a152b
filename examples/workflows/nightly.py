"""A nightly job: load files in parallel, join them, report; a flaky step is tried again.

test-rig workflow run examples/workflows/nightly.py --context '{"files": ["a.csv", "b.csv"]}'
"""

from test_rig.workflow import Workflow, task


@task(map_over="files", retries=2, retry_delay_s=0.1, max_concurrent=4)
def load_file(context):
    """Run once for each element of `files`."""
    if context["item"].startswith("flaky") and context.attempt == 1:
        raise ConnectionError("the share did not answer")
    return {"file": context["item"], "rows": len(context["item"])}


@task(dependencies=[load_file])
def count_rows(context):
    """See the results of all instances, in the order of the list."""
    return {"rows": sum(part["rows"] for part in context["load_file"])}


@task(dependencies=[count_rows], trigger=lambda context: context["rows"] == 0)
def warn():
    """Run only when there was nothing to load."""
    return {"warning": "no rows"}


@task(dependencies=[count_rows, warn], trigger="none_failed")
async def report(context):
    """Run whether or not there was a warning."""
    return {"report": f"{context['rows']} rows" + (" (!)" if "warning" in context else "")}


nightly = Workflow("nightly")
