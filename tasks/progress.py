"""Progress that is seen: in the log, and as an artifact that moves where a Prefect run is under way."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext

logger = logging.getLogger(__name__)


class Progress:
    """How far a piece of work is.

    `key` names the artifact: lower case, digits, dashes. Outside of a Prefect run only the log is written; its records
    carry `work` and `fraction`, for whoever draws bars.
    """

    def __init__(self, key: str, work: str) -> None:
        self.work = work
        self._artifact: UUID | None = None
        if FlowRunContext.get() or TaskRunContext.get():
            created = create_progress_artifact(progress=0.0, key=key, description=work)
            self._artifact = created if isinstance(created, UUID) else None

    def report(self, fraction: float, message: str) -> None:
        """Say that `fraction` (0 to 1) is done, and log `message`."""
        logger.info("%s: %s", self.work, message, extra={"work": self.work, "fraction": fraction})
        if self._artifact:
            update_progress_artifact(self._artifact, progress=100.0 * fraction)
