"""What every stage has in common: a plain function that fills a folder, its artifact, its cache key, its task."""

import json
import logging
import math
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from prefect import Task
from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import JSONSerializer
from prefect.utilities.importtools import to_qualified_name
from pydantic import BaseModel, ConfigDict, JsonValue
from typing_extensions import override

from storage.fingerprint import (
    canonical_json,
    digest_json,
    digest_text,
    fingerprint,
    folder_fingerprints,
    json_items,
)
from storage.workspace import Workspace, told_of_a_full_disk, write_whole
from tasks.patience import PAUSES_S, given_up, may_heal, patiently

logger = logging.getLogger(__name__)

LISTED_DIGESTS = 8


class TimeLimitError(RuntimeError):
    """A stage took longer than it may."""

    def __init__(self, stage: str, limit_s: float) -> None:
        super().__init__(stage, limit_s)  # its arguments, so that it comes whole out of other processes
        self.stage, self.limit_s = stage, limit_s

    @override
    def __str__(self) -> str:
        return (
            f"{self.stage} took longer than --task-time-limit {self.limit_s / 3600:g} hours: what is finished is kept; look at what holds it up, "
            "or allow more and call the same again"
        )


class Artifact(BaseModel):
    """What a stage left: a folder of the workspace, known by the content of its files, never by its path alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    path: str
    """POSIX, relative to the workspace."""
    files: dict[str, str]
    """The fingerprint of each file, by its path inside the folder."""
    inputs: dict[str, JsonValue]
    """What the key was made of, so that `plan` can say what changed."""
    summary: dict[str, JsonValue] = {}
    """What the stage has to say of its result: small, for logs and tables."""

    @property
    def pending(self) -> bool:
        """Whether this only stands for an artifact that a plan would have made."""
        return not self.path

    @property
    def digest(self) -> str:
        """Digest of the content: equal files and summary, equal digest."""
        return digest_json([self.files, self.summary])

    def folder(self, workspace: Workspace) -> Path:
        """Where the files are; they are fetched where need be."""
        return workspace.folder(self.path, self.files)

    def altered(self, workspace: Workspace) -> str | None:
        """The first file that is missing or not what it was, as a sentence; None where all are as they were, or can be had from elsewhere."""
        for name, expected in self.files.items():
            path = f"{self.path}/{name}"
            try:
                what = "was altered" if fingerprint(workspace.root / path) != expected else None
            except OSError:
                what = "is missing"
            if what and not workspace.restores(path):
                return f"{path} {what}"
        return None


class Placed(Protocol):
    """Files in a folder: an artifact, or what lies outside of the workspace."""

    def folder(self, workspace: Workspace) -> Path:
        """Where the files are."""
        ...


ARTIFACT = to_qualified_name(Artifact)
PENDING = Artifact(stage="", path="", files={}, inputs={})


class Made(NamedTuple):
    """Where an artifact is and what is in it, without its list of files: there may be millions of them."""

    path: str
    """POSIX, relative to the workspace; empty where it is not made yet."""
    digest: str

    @classmethod
    def of(cls, artifact: Artifact) -> "Made":
        """The artifact in brief."""
        return cls(artifact.path, artifact.digest)

    def folder(self, workspace: Workspace) -> Path:
        """Where the files are; they are fetched where need be."""
        return workspace.folder(self.path)


@dataclass(frozen=True)
class Mapped:
    """What a stage left for many items: an artifact each, or the reason why there is none, by name."""

    artifacts: Mapping[str, Made]
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        """Whether one of the artifacts is not made yet."""
        return any(not made.path for made in self.artifacts.values())

    @cached_property
    def digest(self) -> str:
        """Digest of the contents and of where they are: tables of frames name their folders."""
        contents = json_items(
            f"{canonical_json(name)}:{canonical_json(list(self.artifacts[name]))}"
            for name in sorted(self.artifacts)
        )
        return digest_text(chain(["[{"], contents, ["},", canonical_json(dict(self.failures)), "]"]))


def describe_inputs(inputs: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The inputs of a stage as JSON that stands for their content.

    An object with a `digest` (an artifact, a video) stands for that digest, settings for their values, more than
    eight items or artifacts for one digest of them all.
    Raises TypeError for anything else, above all for a path: its text says nothing about what is there.
    """
    return {name: _describe(value, name) for name, value in sorted(inputs.items())}


def _describe(value: object, name: str) -> JsonValue:
    if hasattr(value, "digest"):
        return str(value.digest)
    if isinstance(value, BaseModel):
        return dict(value.model_dump(mode="json"))
    if isinstance(value, list | tuple):
        items = [_describe(item, f"{name}[{index}]") for index, item in enumerate(value)]
        return items if len(items) <= LISTED_DIGESTS else digest_json(items)
    if isinstance(value, dict):
        described = {key: _describe(item, f"{name}.{key}") for key, item in sorted(value.items())}
        many = len(described) > LISTED_DIGESTS and all(hasattr(item, "digest") for item in value.values())
        return digest_json(described) if many else described
    if value is None or isinstance(value, bool | int | float | str):
        return value
    message = f"{name} cannot be part of a cache key: expected settings, JSON or something with a digest, got {type(value)}"
    raise TypeError(message)


@dataclass
class StageCache(CachePolicy):
    """Keys made of a stage's name and version and the content of its inputs: `<stage>/<digest>`."""

    stage: str = ""
    version: int = 0

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The cache key for these inputs. Raises TypeError for an input whose content is not known."""
        return f"{self.stage}/{digest_json([self.stage, self.version, describe_inputs(inputs)])}"

    def compute_key(
        self,
        task_ctx: TaskRunContext,  # noqa: ARG002
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> str | None:
        """Prefect's hook: the same key, from the parameters of the task."""
        return self.key(inputs["inputs"])


def stage_cache(stage: str, version: int) -> StageCache:
    """The cache policy of a stage; raise `version` whenever its code gives another result for the same inputs."""
    return StageCache(stage=stage, version=version)


@dataclass(frozen=True)
class Lookup:
    """What the cache holds for a call: the artifact, or why the stage has to run."""

    artifact: Artifact | None
    why: str


@dataclass(frozen=True)
class Stage:
    """A plain function `function(output, workspace, **inputs)` that fills the empty folder `output`, and what goes round it.

    `function` reads the artifacts among its inputs from `workspace`, writes into `output` alone, and may return a small
    dictionary, kept as the artifact's summary. `folder` is where the artifacts stand in the workspace, the stage's
    name by default. A `heavy` stage takes what a machine has: its tasks carry the tag `machine_tag`, which Prefect limits on request.
    One that `resumes` also takes `checkpoints`, a folder of its key that need not exist yet, outlives a kill,
    and is removed once the stage is done.
    """

    name: str
    version: int
    function: Callable[..., dict[str, JsonValue] | None]
    folder: str = ""
    machine_bound: bool = False
    """Whether what it leaves holds on this machine alone, and is not shared with others."""
    heavy: bool = False
    """Whether its tasks carry a tag of this machine, by which Prefect can be told how many run here at once."""
    resumes: bool = False
    """Whether a call goes on from what a killed one left in `checkpoints`."""

    @property
    def machine_tag(self) -> str:
        """The tag of a heavy stage's tasks on this machine: `<stage>@<host>`."""
        return f"{self.name}@{platform.node()}"

    @property
    def policy(self) -> StageCache:
        """The cache policy that makes this stage's keys."""
        return stage_cache(self.name, self.version)

    def execute(self, workspace: Workspace, inputs: Mapping[str, Any]) -> Artifact:
        """Run the function and publish what it wrote; knows nothing of Prefect or the cache."""
        key = self.policy.key(inputs)
        artifact = self._unshared(workspace, key)
        if artifact is None:
            path = f"{self.folder or self.name}/{key.partition('/')[2]}"
            checkpoints = workspace.checkpoints / path
            more = {"checkpoints": checkpoints} if self.resumes else {}
            with workspace.publish(workspace.root / path) as output:
                summary = self.function(output, workspace, **inputs, **more)
            files = folder_fingerprints(workspace.root / path)
            shutil.rmtree(checkpoints, ignore_errors=True)
            artifact = Artifact(
                stage=self.name, path=path, files=files, inputs=describe_inputs(inputs), summary=summary or {}
            )
        return artifact if self.machine_bound else self._share(workspace, key, artifact)

    def _unshared(self, workspace: Workspace, key: str) -> Artifact | None:
        """What an earlier run made, and could not share."""
        if self.machine_bound or workspace.shares(key):
            return None
        artifact = _read_record(workspace.cache / key)
        return artifact if artifact and not artifact.altered(workspace) else None

    def _share(self, workspace: Workspace, key: str, artifact: Artifact) -> Artifact:
        """Share what was made; returns what another machine made and shared meanwhile, if there is such a thing."""
        stored = workspace.share(key, artifact.path, _record_of(artifact, key))
        other = _parse_record(stored) if stored else None
        if other is None or other == artifact:
            return artifact
        logger.warning("%s was made on another machine meanwhile: that one is taken", other.path)
        other.altered(workspace)
        return other

    def keep(self, workspace: Workspace, inputs: Mapping[str, Any]) -> Artifact:
        """`execute`, and write the record that Prefect would write, so that `lookup` and Prefect's cache find the artifact."""
        artifact = self.execute(workspace, inputs)
        record = workspace.cache / self.policy.key(inputs)
        with told_of_a_full_disk(workspace.root):
            write_whole(record, _record_of(artifact, str(record.resolve())))
        return artifact

    def keep_all(
        self, workspace: Workspace, calls: Mapping[str, Mapping[str, Any]], time_limit_s: float = math.inf
    ) -> Mapped:
        """`keep` each of some calls by name, one after the other, unless it is there: a worker that was killed may have left some.

        A file that the disk refuses is a reason, not the end of the rest. Raises TimeLimitError after the call in whose midst the limit is reached.
        """
        artifacts, failures = {}, {}
        end = time.monotonic() + time_limit_s
        for name, inputs in calls.items():
            if time.monotonic() > end:
                raise TimeLimitError(self.name, time_limit_s)
            try:
                found = self._found(workspace, inputs)
                artifact = found.artifact if found else None
                artifacts[name] = Made.of(artifact or patiently(self.keep, workspace, inputs))
            except OSError as error:
                logger.warning("%s failed: %s", name, error)
                failures[name] = " ".join(str(error).split()) + given_up(error)
        return Mapped(artifacts=artifacts, failures=failures)

    def lookup(self, workspace: Workspace, inputs: Mapping[str, Any]) -> Lookup:
        """What Prefect's cache holds for these inputs, and whether all files are still as they were."""
        return self.lookups(workspace)(inputs)

    def lookups(self, workspace: Workspace) -> Callable[[Mapping[str, Any]], Lookup]:
        """`lookup` for many calls: the newest of what may be a million records is looked for once."""
        newest = cache(lambda: self._newest(workspace))

        def lookup(inputs: Mapping[str, Any]) -> Lookup:
            found = self._found(workspace, inputs)
            return found or Lookup(None, self._why_new(newest(), describe_inputs(inputs)))

        return lookup

    def _found(self, workspace: Workspace, inputs: Mapping[str, Any]) -> Lookup | None:
        """What is there of a call, None where it has no record."""
        key = self.policy.key(inputs)
        record = workspace.cache / key if self.machine_bound else workspace.record(key)
        if not record.is_file():
            return None
        artifact = _read_record(record)
        if artifact is None:
            return Lookup(None, f"its record cache/{self.name}/{record.name} cannot be read")
        altered = artifact.altered(workspace)
        if altered:
            return Lookup(None, altered)
        if not (self.machine_bound or workspace.shares(key)):
            return Lookup(None, f"{workspace} does not have it yet")
        return Lookup(artifact, "nothing changed")

    def task(
        self, workspace: Workspace, *, refresh: bool = False, time_limit_s: float | None = None
    ) -> Task[..., Artifact]:
        """The Prefect task: `task(label, inputs)`; `refresh` runs it whatever the cache holds.

        It is tried again where an error may heal by itself, and ends after `time_limit_s`.
        """

        def run(label: str, inputs: dict[str, Any]) -> Artifact:
            logger.info("%s", label)
            return self.execute(workspace, inputs)

        return self._task(
            run,
            cache_policy=self.policy,
            persist_result=True,
            result_storage=workspace.cache.resolve(),
            result_serializer="json",
            refresh_cache=refresh,
            cache_result_in_memory=False,
            tags=[self.machine_tag] if self.heavy and refresh else None,  # what is cached waits for nobody
            retries=len(PAUSES_S),
            retry_delay_seconds=list(PAUSES_S),
            retry_condition_fn=_heals,
            timeout_seconds=time_limit_s,
        )

    def batch(self, workspace: Workspace, time_limit_s: float = math.inf) -> Task[..., Mapped]:
        """The Prefect task of many calls: `task(label, calls)`, with `calls` by name; each keeps a record of its own."""

        def run(label: str, calls: dict[str, dict[str, Any]]) -> Mapped:
            logger.info("%s", label)
            return self.keep_all(workspace, calls, time_limit_s)

        return self._task(run, cache_policy=NO_CACHE, persist_result=False)

    def _task(self, run: Callable[..., Any], **options: Any) -> Task[..., Any]:
        """A Prefect task called like this stage; its runs are called by their label."""
        return Task(
            run,
            name=self.name,
            description=(self.function.__doc__ or "").partition("\n")[0],
            task_run_name="{label}",
            version=str(self.version),
            **options,
        )

    def _newest(self, workspace: Workspace) -> Artifact | None:
        """The artifact of the newest record of this stage."""
        records = (workspace.cache / self.name).glob("*")
        newest = max(records, key=lambda path: path.stat().st_mtime, default=None)
        return _read_record(newest) if newest else None

    def _why_new(self, artifact: Artifact | None, described: dict[str, JsonValue]) -> str:
        """Which inputs differ from those of the newest artifact of this stage."""
        if artifact is None:
            return "never made"
        before, now = _flatten(artifact.inputs), _flatten(described)
        changes = [
            f"{name}: {_brief(before.get(name))} -> {_brief(now.get(name))}"
            for name in sorted(before.keys() | now.keys())
            if before.get(name) != now.get(name)
        ]
        return "; ".join(changes) if changes else f"its code changed to version {self.version}"


def _record_of(artifact: Artifact, place: str) -> bytes:
    """The record that Prefect would write at `place`, which is of no meaning to who reads it."""
    metadata = ResultRecordMetadata(storage_key=place, serializer=JSONSerializer())
    return ResultRecord(result=artifact, metadata=metadata).serialize()


def _heals(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001
    """Whether a task that failed is tried again."""
    error = state.data
    heals = isinstance(error, BaseException) and may_heal(error)
    if heals:
        logger.warning("%s: %s; again in some seconds", task_run.name, error)
    return heals


def _read_record(path: Path) -> Artifact | None:
    """The artifact in one of Prefect's result records, None where the file is not such a record."""
    try:
        return _parse_record(path.read_bytes())
    except OSError:
        return None


def _parse_record(content: bytes) -> Artifact | None:
    """The artifact in the content of a record, None where it is not written as this project writes them.

    Prefect itself reads a record as the record says, a pickle too, and makes any object of any class that it names: it is
    given none that was not looked at here.
    """
    try:
        record = json.loads(content)
        if record["metadata"]["serializer"] != JSONSerializer().model_dump(mode="json"):
            return None
        result = json.loads(record["result"], object_hook=_require_plain)
        return Artifact.model_validate(result["data"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _require_plain(values: dict[str, Any]) -> dict[str, Any]:
    """Raise ValueError for what Prefect would make an object of, unless it is an artifact."""
    if "__exc_type__" in values or values.get("__class__", ARTIFACT) != ARTIFACT:
        message = f"expected no object but {ARTIFACT}, got {values}"
        raise ValueError(message)
    return values


def _flatten(value: JsonValue, prefix: str = "") -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in _flatten(item, f"{prefix}.{key}" if prefix else key).items()
    }


def _brief(value: JsonValue) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:16]}..."
