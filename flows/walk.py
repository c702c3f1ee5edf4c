"""Two ways to walk through the stages: run them as Prefect tasks, or look up what a run would do."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prefect.futures import PrefectFuture, as_completed

from storage.workspace import Workspace
from tasks.progress import Progress
from tasks.stage import PENDING, Artifact, Lookup, Made, Mapped, Stage

logger = logging.getLogger(__name__)

# What belongs to one stage in the eyes of a user.
STAGE_OF = {"fetch": "download", "sample": "download", "blended-split": "blend", "transfer": "evaluate"}
JOINED = ("download", "blend")
"""Made of several stages: that one of them was cached does not say that a part of it was."""
STAGES = (
    "download", "extract", "manifest", "split", "select", "audit", "explore", "blend", "train", "calibrate", "evaluate",
    "familiarity", "robustness", "adversarial", "reference", "bundle", "protocol", "explain", "report",
)  # fmt: skip


@dataclass
class Step:
    """What became, or would become, of one call of a stage."""

    stage: str
    cached: bool
    why: str


class Stages(Protocol):
    """A way to call stages one by one."""

    workspace: Workspace

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
        """One call of a stage."""
        ...


class Walk(Stages, Protocol):
    """A way to walk; in a plan, an artifact that is not there yet is pending."""

    steps: list[Step]

    def map(self, stage: Stage, calls: Mapping[str, Mapping[str, Any]]) -> Mapped:
        """A call for each item of `calls`, by name, in parallel."""
        ...


@dataclass
class Run:
    """Runs each stage as a Prefect task, unless Prefect's cache holds its artifact and the files are as they were."""

    workspace: Workspace
    steps: list[Step] = field(default_factory=list)

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
        """Run the stage, or take it from the cache."""
        found = stage.lookup(self.workspace, inputs)
        task = stage.task(self.workspace, refresh=found.artifact is None)
        state: Any = task(label, inputs, return_state=True)
        self._note(stage, found, cached=state.name == "Cached")
        artifact: Artifact = state.result()
        return artifact

    def map(self, stage: Stage, calls: Mapping[str, Mapping[str, Any]]) -> Mapped:
        """Submit to the flow's task runner what the cache does not hold: a task for each cached video would cost more than it says.

        A file that the disk refuses is a reason, not the end of the rest.
        """
        task = stage.task(self.workspace, refresh=True)
        names: dict[PrefectFuture[Artifact], str] = {}
        lookups: dict[str, Lookup] = {}
        artifacts: dict[str, Made] = {}
        failures: dict[str, str] = {}
        for name, inputs in calls.items():
            found = stage.lookup(self.workspace, inputs)
            if found.artifact:
                artifacts[name] = Made.of(found.artifact)
                self._note(stage, found, cached=True)
            else:
                lookups[name] = found
                names[task.submit(f"{stage.name} {name}", inputs)] = name
        progress = Progress(stage.name, f"{stage.name}: {len(calls)} videos")
        if artifacts:
            kept = len(artifacts)
            progress.report(kept / len(calls), f"{kept} of {len(calls)}: unchanged")
        for done, future in enumerate(as_completed(list(names)), start=len(artifacts) + 1):
            name = names[future]
            result: Any = future.result(raise_on_failure=False)
            self._note(stage, lookups[name], cached=False)
            if isinstance(result, Artifact):
                artifacts[name] = Made.of(result)
            elif isinstance(result, OSError):
                logger.warning("%s failed: %s", name, result)
                failures[name] = " ".join(str(result).split())
            else:
                future.result()
            progress.report(done / len(calls), f"{done} of {len(calls)}: {name}")
        return Mapped(artifacts=artifacts, failures=failures)

    def _note(self, stage: Stage, found: Lookup, *, cached: bool) -> None:
        self.steps.append(Step(STAGE_OF.get(stage.name, stage.name), cached, found.why))


@dataclass
class Plan:
    """Runs nothing: looks up each stage as a run would, as far as the artifacts at hand reach."""

    workspace: Workspace
    steps: list[Step] = field(default_factory=list)

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:  # noqa: ARG002
        """What the cache holds."""
        return self._look(stage, inputs)

    def map(self, stage: Stage, calls: Mapping[str, Mapping[str, Any]]) -> Mapped:
        """What the cache holds of all calls."""
        return Mapped(artifacts={name: Made.of(self._look(stage, inputs)) for name, inputs in calls.items()})

    def _look(self, stage: Stage, inputs: Mapping[str, Any]) -> Artifact:
        name = STAGE_OF.get(stage.name, stage.name)
        if any(getattr(value, "pending", False) for value in inputs.values()):
            others = (step.stage for step in reversed(self.steps) if not step.cached and step.stage != name)
            earlier = next(others, None)
            why = f"{earlier} runs before it" if earlier else "its data set is not there yet"
            self.steps.append(Step(name, False, why))
            return PENDING
        found = stage.lookup(self.workspace, inputs)
        self.steps.append(Step(name, found.artifact is not None, found.why))
        return found.artifact or PENDING


def actions(steps: list[Step]) -> dict[str, str]:
    """For each stage, in the order of the walk: `cached`, `partial` (some videos or rounds of it) or `run`."""
    found = {}
    for name in STAGES:
        cached = [step.cached for step in steps if step.stage == name]
        if not cached:
            continue
        partial = name not in JOINED and any(cached) and not all(cached)
        found[name] = "cached" if all(cached) else "partial" if partial else "run"
    return found


def did(steps: list[Step]) -> dict[str, str]:
    """The same of a run that is over: `cached`, `partial` or `ran`."""
    return {name: "ran" if action == "run" else action for name, action in actions(steps).items()}


def reasons(steps: list[Step]) -> dict[str, str]:
    """For each stage why it does what it does, the same reasons counted once."""
    why = {}
    for name in STAGES:
        mine = [step for step in steps if step.stage == name]
        telling = [step.why for step in mine if not step.cached] or [step.why for step in mine]
        counted = Counter(telling).most_common(3)
        many = len(mine) > 1 and name not in JOINED
        if counted:
            why[name] = "; ".join(
                f"{text} ({count} of {len(mine)})" if many else text for text, count in counted
            )
    return why
