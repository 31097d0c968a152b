"""Follows TiDB's import jobs until they have ended; skipped where there is no such thing."""

import time

from test_rig import State, StateContext, StateHandler


class ImportJobMonitorHandler(StateHandler):
    """Looks every `interval` seconds, for `duration` seconds at most."""

    def __init__(self, duration: float = 30.0, interval: float = 1.0) -> None:
        self.duration, self.interval = duration, interval

    def enter(self, context: StateContext) -> str:
        """Start the clock."""
        self.until = time.monotonic() + self.duration
        return State.checking_import_jobs()

    def execute(self, context: StateContext) -> str:
        """Look once; staying means to be called again."""
        jobs = context.connection.execute_query("SHOW IMPORT JOBS")
        active = [job for job in jobs if job.get("End_Time") is None]
        failed = [job["Job_ID"] for job in jobs if job.get("Status") in ("failed", "cancelled")]
        for job in active:
            print(f"job {job['Job_ID']}: {job.get('Phase')}, {job.get('Imported_Rows')} rows")
        if failed:
            return State.error(f"jobs that failed: {failed}")
        if not active:
            return State.completed()
        if time.monotonic() > self.until:
            return State.error(f"{len(active)} jobs still run after {self.duration:g} s")
        time.sleep(self.interval)
        return State.showing_import_job_details()


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
