"""Long work in the background: one at a time per subject, watched, cancelled, remembered for a while."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tradewind.core import show
from tradewind.core.answer import Answer
from tradewind.core.errors import Busy, Cancelled, NotFound, TooMany, TradewindError
from tradewind.core.model import Progress, Step
from tradewind.http.problems import ours

KEPT_STEPS = 200


@dataclass(slots=True)
class Job:
    """One piece of long work. `state` is running, done, failed or cancelled."""

    id: str
    kind: str
    subject: str
    actor: str
    state: str = "running"
    started: str = ""
    ended: str = ""
    steps: list[tuple[int, Step]] = field(default_factory=list)
    answer: Answer | None = None
    error: TradewindError | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    seq: int = 0

    def as_dict(self, *, full: bool = False) -> dict[str, Any]:
        """Return the job as plain data; `full` adds the answer of a finished one."""
        said: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "subject": self.subject,
            "actor": self.actor,
            "state": self.state,
            "started": self.started,
            "ended": self.ended or None,
        }
        if self.steps:
            said["progress"] = step_data(self.steps[-1][1])
        if self.error is not None:
            said["error"] = self.error.as_dict()
        if full and self.answer is not None:
            said |= show.data(self.answer)
        return said


def step_data(step: Step) -> dict[str, Any]:
    """Return one step as plain data."""
    return {
        "stage": step.stage,
        "fraction": round(step.fraction, 4),
        "message": step.message,
        "eta_s": None if step.eta_s is None else round(step.eta_s, 1),
    }


class Jobs:
    """Run long work in threads of this process; `tell(job)` is called, from those threads, at each step and at the end."""

    def __init__(self, *, at_once: int = 4, keep: int = 100) -> None:
        self._at_once = at_once
        self._keep = keep
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self.tell: Callable[[Job], None] = lambda job: None

    def start(self, kind: str, subject: str, actor: str, work: Callable[[Progress], Answer]) -> Job:
        """Start work; raises Busy where the subject has a running job, TooMany where too many run."""
        with self._lock:
            running = [job for job in self._jobs.values() if job.state == "running"]
            for job in running:
                if job.subject == subject:
                    raise Busy(
                        f"{job.kind} of {subject} is running as job {job.id}",
                        hint=f"wait for it or cancel it: POST /api/v1/jobs/{job.id}/cancel",
                    )
            if len(running) >= self._at_once:
                raise TooMany(f"{len(running)} jobs are running", hint="wait until one ends; GET /api/v1/jobs lists them")
            job = Job(secrets.token_hex(6), kind, subject, actor, started=_now())
            self._jobs[job.id] = job
            self._forget()
        threading.Thread(target=self._run, args=(job, work), name=f"job-{job.id}", daemon=True).start()
        return job

    def get(self, job_id: str) -> Job:
        """Return a job; raises NotFound for one there is not, or is no longer."""
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id}", hint="GET /api/v1/jobs lists those that run or ended lately")
        return job

    def all(self) -> list[Job]:
        """Return the jobs, newest first."""
        return list(self._jobs.values())[::-1]

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop at its next step."""
        job = self.get(job_id)
        job.stop.set()
        return job

    def close(self, wait_s: float = 5.0) -> None:
        """Stop every job and wait for them, together at most `wait_s`."""
        until = time.monotonic() + wait_s
        for job in self.all():
            job.stop.set()
        for job in self.all():
            job.over.wait(max(0.0, until - time.monotonic()))

    def _run(self, job: Job, work: Callable[[Progress], Answer]) -> None:
        def listen(step: Step) -> None:
            if job.stop.is_set():
                raise Cancelled(f"{job.kind} of {job.subject} was cancelled", hint="what was kept before stays as it was")
            job.seq += 1
            job.steps.append((job.seq, step))
            del job.steps[:-KEPT_STEPS]
            self.tell(job)

        try:
            job.answer = work(Progress(listen))
            state = "done"
        except Cancelled as error:
            job.error, state = error, "cancelled"
        except Exception as error:  # noqa: BLE001 - the last line of a thread: whatever it was, the job must end and say so
            job.error, state = ours(error, f"job-{job.id}"), "failed"
        job.seq += 1
        job.ended = _now()
        job.state = state
        job.over.set()
        self.tell(job)

    def _forget(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.state != "running"]
        for job_id in ended[: max(0, len(self._jobs) - self._keep)]:
            del self._jobs[job_id]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
