"""Two ways to walk through the stages: run them as Prefect tasks, or look up what a run would do."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prefect.utilities.annotations import quote

from flows.batches import in_batches
from flows.execution import ON_THREADS, Execution
from storage.workspace import Workspace
from tasks.progress import Progress
from tasks.stage import PENDING, Artifact, Lookup, Made, Mapped, Stage, TimeLimitError

# What belongs to one stage in the eyes of a user.
STAGE_OF = {"fetch": "download", "sample": "download", "blended-split": "blend", "transfer": "evaluate"}
JOINED = ("download", "blend", "spectra")
"""Made of several stages, or of one that is walked to twice: that one of them was cached does not say that a part of it was."""
STAGES = (
    "download", "extract", "manifest", "split", "select", "audit", "spectra", "explore", "blend", "train", "calibrate", "evaluate",
    "familiarity", "robustness", "adversarial", "reference", "bundle", "protocol", "explain", "report",
)  # fmt: skip

MOST_HELD = 10_000  # calls


@dataclass(slots=True)
class Step:
    """What became, or would become, of one call of a stage."""

    stage: str
    cached: bool
    why: str


class Calls(Protocol):
    """Calls of a stage by name: a dictionary, or what makes each of them when it is asked for."""

    def __len__(self) -> int: ...

    def items(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Name and inputs of each."""
        ...


class Stages(Protocol):
    """A way to call stages one by one."""

    workspace: Workspace

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
        """One call of a stage."""
        ...


class Walk(Stages, Protocol):
    """A way to walk; in a plan, an artifact that is not there yet is pending."""

    steps: list[Step]

    def map(self, stage: Stage, calls: Calls) -> Mapped:
        """A call for each item of `calls`, by name, in parallel."""
        ...


@dataclass
class Run:
    """Runs each stage as a Prefect task, unless Prefect's cache holds its artifact and the files are as they were."""

    workspace: Workspace
    execution: Execution = ON_THREADS
    steps: list[Step] = field(default_factory=list)

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
        """Run the stage, or take it from the cache."""
        found = stage.lookup(self.workspace, inputs)
        task = stage.task(
            self.workspace, refresh=found.artifact is None, time_limit_s=self.execution.time_limit_s
        )
        # Quoted, since Prefect would look for futures in all of it.
        state: Any = task(label, quote(inputs), return_state=True)
        self._note(stage, found, cached=state.name == "Cached")
        if state.name == "TimedOut":
            raise TimeLimitError(stage.name, self.execution.time_limit_s)
        artifact: Artifact = state.result()
        return artifact

    def map(self, stage: Stage, calls: Calls) -> Mapped:
        """Run what the cache does not hold on the task runner, a batch of calls a task, and keep each call by itself.

        A file that the disk refuses is a reason, not the end of the rest.
        """
        artifacts: dict[str, Made] = {}
        failures: dict[str, str] = {}
        progress = Progress(stage.name, f"{stage.name}: {len(calls)} videos")
        lookup = stage.lookups(self.workspace)
        for some in held(calls):
            new: dict[str, dict[str, Any]] = {}
            for name, inputs in some.items():
                found = lookup(inputs)
                if found.artifact:
                    artifacts[name] = Made.of(found.artifact)
                else:
                    new[name] = dict(inputs)
                self._note(stage, found, cached=found.artifact is not None)
            if kept := len(some) - len(new):
                done = len(artifacts) + len(failures)
                progress.report(done / len(calls), f"{done} of {len(calls)}: {kept} unchanged")
            task = stage.batch(self.workspace, self.execution.time_limit_s)
            for _, batch in in_batches(self.execution, stage.name, task, new):
                artifacts |= batch.artifacts
                failures |= batch.failures
                done = len(artifacts) + len(failures)
                progress.report(done / len(calls), f"{done} of {len(calls)}")
        return Mapped(artifacts=artifacts, failures=failures)

    def _note(self, stage: Stage, found: Lookup, *, cached: bool) -> None:
        self.steps.append(Step(STAGE_OF.get(stage.name, stage.name), cached, found.why))


def held(calls: Calls) -> Iterator[dict[str, Mapping[str, Any]]]:
    """The calls in runs of as many as are held in memory, and waited for, at once."""
    left = iter(calls.items())
    while some := dict(itertools.islice(left, MOST_HELD)):
        yield some


@dataclass
class Plan:
    """Runs nothing: looks up each stage as a run would, as far as the artifacts at hand reach."""

    workspace: Workspace
    steps: list[Step] = field(default_factory=list)

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
        """What the cache holds."""
        return next(artifact for _, artifact in self._look(stage, [(label, inputs)]))

    def map(self, stage: Stage, calls: Calls) -> Mapped:
        """What the cache holds of all calls."""
        found = self._look(stage, calls.items())
        return Mapped(artifacts={name: Made.of(artifact) for name, artifact in found})

    def _look(
        self, stage: Stage, calls: Iterable[tuple[str, Mapping[str, Any]]]
    ) -> Iterator[tuple[str, Artifact]]:
        """What there is of each call, by name."""
        name = STAGE_OF.get(stage.name, stage.name)
        others = (step.stage for step in reversed(self.steps) if not step.cached and step.stage != name)
        earlier = next(others, None)
        lookup = stage.lookups(self.workspace)
        for call, inputs in calls:
            if any(getattr(value, "pending", False) for value in inputs.values()):
                why = f"{earlier} runs before it" if earlier else "its data set is not there yet"
                found = Lookup(None, why)
            else:
                found = lookup(inputs)
            self.steps.append(Step(name, found.artifact is not None, found.why))
            yield call, found.artifact or PENDING


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
