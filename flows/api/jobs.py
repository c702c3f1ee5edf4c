"""Clips on their way through the detector: a bounded queue, one thread that judges, results that expire."""

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from flows.api.metrics import Metrics
from flows.api.settings import ApiSettings
from tasks.detect import Detector
from tasks.judgement import Judgement

logger = logging.getLogger(__name__)

WriteEvidence = Callable[[Path, Detector, Iterable[Judgement], Mapping[str, str]], None]
"""Writes an HTML page on judgements, whose `path` can still be read, under the names that the last argument gives by path: whole or not at all."""
State = Literal["queued", "judging", "done", "failed"]

FIRST_GUESS_S = 5.0
"""How long a job takes, before there was one."""
EVIDENCE = "evidence.html"


class QueueFullError(RuntimeError):
    """There is no room for another clip now; `retry_s` says in how many seconds there may be."""

    def __init__(self, retry_s: int) -> None:
        super().__init__(f"the queue is full: try again in {retry_s} s")
        self.retry_s = retry_s


class JobReport(BaseModel):
    """What is said of a job."""

    id: str = Field(description="Random; who knows it, and the token where there is one, sees the job.")
    name: str = Field(description="What the upload was called; it is shown and nothing else.")
    state: State = Field(
        description="queued; judging; done, whatever the judgement says; failed, where a fault of the service ended it."
    )
    ahead: int = Field(description="How many clips are judged before this one.")
    judgement: Judgement | None = Field(description="As soon as there is one; its path is the upload's name.")
    evidence: str | None = Field(
        description="Address of the evidence, once it is there; its key opens the page without the token."
    )
    reason: str | None = Field(description="Why the job failed.")
    expires_s: int | None = Field(description="Seconds until it is deleted; null before it is finished.")


@dataclass
class Job:
    """A clip that was uploaded whole."""

    name: str
    clip: Path
    wants_evidence: bool
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """Opens the evidence in a browser's tab, which sends no token."""
    judgement: Judgement | None = None
    finished: float | None = None
    """By the clock of `Jobs`."""
    future: Future[None] = field(default_factory=Future)

    @property
    def id(self) -> str:
        """The name of the job's folder."""
        return self.clip.parent.name

    @property
    def evidence(self) -> Path:
        """Where the evidence is, once it is written."""
        return self.clip.with_name(EVIDENCE)

    @property
    def state(self) -> State:
        """Of which the thread that judges tells by the future."""
        if not self.future.done():
            return "judging" if self.future.running() else "queued"
        return "failed" if self.future.exception() else "done"


class Jobs:
    """The clips of one service. For one thread (that of the event loop); judging is done in another, which alone uses the detector."""

    def __init__(
        self,
        folder: Path,
        detector: Detector,
        write_evidence: WriteEvidence | None,
        settings: ApiSettings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._detector, self._write_evidence = folder, detector, write_evidence
        self._settings, self._metrics, self._clock = settings, metrics, clock
        self._jobs: dict[str, Job] = {}
        self._receiving = 0
        self._last_s = FIRST_GUESS_S
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="judge")
        metrics.watch(self.busy)

    def busy(self) -> int:
        """How many clips are received, wait or are judged."""
        return self._receiving + sum(not job.future.done() for job in list(self._jobs.values()))

    @contextmanager
    def receiving(self, suffix: str) -> Iterator[Path]:
        """Room for an upload: a path for it with this suffix, in a folder that is removed unless `submit` made a job of it.

        Raises QueueFullError where there is no room.
        """
        if self.busy() >= self._settings.queue:
            raise QueueFullError(max(1, round(self._last_s)))
        folder = self._folder / secrets.token_urlsafe(16)
        self._receiving += 1
        try:
            folder.mkdir()
            yield folder / f"clip{suffix}"
        finally:
            self._receiving -= 1
            if folder.name not in self._jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def submit(self, clip: Path, name: str, *, evidence: bool) -> JobReport:
        """Make a job of a clip that `receiving` gave the path of."""
        self.forget_old()
        job = Job(name, clip, evidence and self._write_evidence is not None)
        self._jobs[job.id] = job
        job.future = self._executor.submit(self._judge, job)
        job.future.add_done_callback(lambda _: self._end(job))
        return self._report(job)

    def report(self, job_id: str) -> JobReport | None:
        """What is said of a job; None where there is none, or none any more."""
        self.forget_old()
        return self._report(self._jobs[job_id]) if job_id in self._jobs else None

    def evidence(self, job_id: str) -> tuple[Path, str] | None:
        """Where a job's evidence is, and the key to it; None where there is none."""
        self.forget_old()
        job = self._jobs.get(job_id)
        return (job.evidence, job.key) if job and job.evidence.is_file() else None

    def delete(self, job_id: str) -> bool:
        """Forget a job and all its files, now, or as soon as the detector lets go of them; says whether there was one."""
        self.forget_old()
        if job_id not in self._jobs:
            return False
        self._forget(job_id)
        return True

    def forget_old(self) -> None:
        """Delete what was kept for long enough, and the oldest of what is too many."""
        finished = sorted(
            (job.finished, name)
            for name, job in self._jobs.items()
            if job.finished is not None and job.future.done()
        )
        limit = self._clock() - self._settings.keep_minutes * 60
        too_many = len(finished) - self._settings.kept
        for place, (time_finished, name) in enumerate(finished):
            if time_finished <= limit or place < too_many:
                self._forget(name)

    def close(self) -> None:
        """Wait for the clip that is judged now; forget those that wait."""
        self._executor.shutdown(cancel_futures=True)

    def _forget(self, job_id: str) -> None:
        job = self._jobs.pop(job_id)
        if job.future.cancel() or job.future.done():
            shutil.rmtree(job.clip.parent, ignore_errors=True)

    def _judge(self, job: Job) -> None:
        started = self._clock()
        try:
            judged = self._detector.judge(job.clip)
            self._metrics.count(judged)
            job.judgement = judged.model_copy(update={"path": job.name})
            if job.wants_evidence and self._write_evidence and judged.status == "scored":
                self._write_evidence(job.evidence, self._detector, [judged], {judged.path: job.name})
        finally:
            job.clip.unlink(missing_ok=True)
            job.finished = self._clock()
            self._last_s = job.finished - started
            self._metrics.seconds.observe(self._last_s)

    def _end(self, job: Job) -> None:
        """Behind the job, in whichever thread ended it."""
        if not job.future.cancelled() and (error := job.future.exception()):
            self._metrics.broken.inc()
            logger.error("a job failed", exc_info=error)
        if job.id not in self._jobs:
            shutil.rmtree(job.clip.parent, ignore_errors=True)

    def _report(self, job: Job) -> JobReport:
        ahead = 0
        for other in self._jobs.values():
            if other is job:
                break
            ahead += not other.future.done()
        state, expires = job.state, None
        if job.finished is not None:
            expires = max(0, round(job.finished + self._settings.keep_minutes * 60 - self._clock()))
        there = job.evidence.is_file()
        return JobReport(
            id=job.id,
            name=job.name,
            state=state,
            ahead=0 if state in ("done", "failed") else ahead,
            judgement=job.judgement,
            evidence=f"/jobs/{job.id}/evidence?key={job.key}" if there else None,
            reason="a fault of the service: its log says more" if state == "failed" else None,
            expires_s=expires,
        )
