"""One tree of settings: defaults beside the code they set, presets, a YAML file, single values."""

import difflib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import override

from fourier_model.metrics import EvaluationSettings
from fourier_model.pooling import PoolingSettings
from fourier_model.selective import AbstentionSettings
from fourier_model.settings import (
    BackboneSettings,
    ModelSettings,
    TrainSettings,
    require_own_attention,
    require_solvable_head,
)
from storage.isolation import ReadingLimits
from storage.layouts.base import Content, DataSetSettings, Grouping
from storage.redaction import redacted
from tasks.adversarial import AdversarialSettings
from tasks.catalogue import GroupBy
from tasks.clip import ExtractionSettings
from tasks.explain import ExplainSettings
from tasks.explore import ExploreSettings
from tasks.robustness import RobustnessSettings
from tasks.sample import SampleSettings
from tasks.split import SplitSettings

Preset = Literal["sample", "standard", "gpu", "original"]
DEEPEST = 20
"""How deep lists and mappings of a file of settings may stand in one another."""
LONGEST_SHOWN = 200


class SettingsError(ValueError):
    """A setting is unknown or out of bounds; the message names it and what is allowed."""


class _Loader(yaml.SafeLoader):
    """Reads plain values, and neither aliases, a few of which stand for millions of values, nor a nesting without end."""

    depth = 0

    @override
    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            message = f"line {self.line + 1}: found the alias *{event.anchor}: write the value out"
            raise yaml.YAMLError(message)
        if self.depth >= DEEPEST:
            message = f"line {self.line + 1}: found more than {DEEPEST} lists and mappings in one another"
            raise yaml.YAMLError(message)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError, or ValueError for a number or a date that is none."""
    return yaml.load(text, _Loader)  # noqa: S506 - a safe loader


class FrameSettings(ExtractionSettings, ReadingLimits):
    """How frames are taken, how far that goes until it is given up, and the edge they have in the model."""

    size: int = Field(
        224,
        ge=75,
        le=1024,
        description="Edge of the model's square input in pixels; frames are resized inside the model.",
    )

    def extraction_of(self, content: Content) -> ExtractionSettings:
        """The part that extraction depends on; ready-made face crops are taken as they are."""
        values = self.model_dump(include=set(ExtractionSettings.model_fields))
        return ExtractionSettings.model_validate(values | ({"crop": "none"} if content == "faces" else {}))

    @property
    def limits(self) -> ReadingLimits:
        """How far the reading of a video goes until it is given up."""
        return ReadingLimits.model_validate(self.model_dump(include=set(ReadingLimits.model_fields)))


class DataSetDefaults(BaseModel):
    """What holds for every data set that does not say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: Content = Field("scenes", description="Whole frames (scenes), or ready-made face crops (faces).")
    grouping: Grouping = Field("auto", description="Which loose images make a video.")
    fingerprint: Literal["sampled", "full"] = Field(
        "sampled",
        description="How a change of a video's file is noticed: by its size and samples of its content, or by every byte of it, which takes as long as reading them.",
    )
    group_by: GroupBy = Field(
        "clip",
        description="What keeps videos on one side of the split: what they were made of (clip), or also who is seen (identity).",
    )


class JudgementSettings(EvaluationSettings, PoolingSettings, AbstentionSettings):
    """How videos are scored and judged."""

    @property
    def intervals(self) -> EvaluationSettings:
        """The part that the judgement of test videos depends on."""
        return EvaluationSettings.model_validate(
            self.model_dump(include=set(EvaluationSettings.model_fields))
        )

    @property
    def pooled(self) -> PoolingSettings:
        """The part that a video's score depends on."""
        return PoolingSettings.model_validate(self.model_dump(include=set(PoolingSettings.model_fields)))

    @property
    def abstention(self) -> AbstentionSettings:
        """The part that the choice of the band of abstention depends on."""
        return AbstentionSettings.model_validate(
            self.model_dump(include=set(AbstentionSettings.model_fields))
        )


class Settings(BaseModel):
    """Everything that the result of a run depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = Field(
        "sample",
        description="The set of values that all other settings start from: what is left empty is its.",
    )
    seed: int = Field(
        0, ge=0, lt=2**31, description="Random seed of the sample, the split, training and intervals."
    )
    datasets: tuple[DataSetSettings, ...] = Field(
        (DataSetSettings(uri="sample"),), min_length=1, description="The data sets to join."
    )
    dataset: DataSetDefaults = Field(
        DataSetDefaults(), description="What holds for every data set that does not say otherwise."
    )
    sample: SampleSettings = Field(
        SampleSettings(), description="The generated data set, where `datasets` names `sample`."
    )
    frames: FrameSettings = Field(FrameSettings(), description="How frames are taken from videos.")
    split: SplitSettings = Field(
        SplitSettings(), description="How videos are divided into training, validation and test."
    )
    explore: ExploreSettings = Field(
        ExploreSettings(), description="How the data and their spectra are looked at."
    )
    backbone: BackboneSettings = Field(
        BackboneSettings(), description="The network that the detector is built on."
    )
    model: ModelSettings = Field(ModelSettings(), description="What the detector adds to it.")
    train: TrainSettings = Field(TrainSettings(), description="What is learned, and how.")
    evaluate: JudgementSettings = Field(JudgementSettings(), description="How videos are scored and judged.")
    explain: ExplainSettings = Field(
        ExplainSettings(), description="How the evidence in the report is found."
    )
    robustness: RobustnessSettings = Field(
        RobustnessSettings(), description="How a detector is tried on perturbed videos (`evaluate`)."
    )
    adversarial: AdversarialSettings = Field(
        AdversarialSettings(), description="How a detector is attacked (`evaluate`)."
    )

    @override
    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The schema without defaults but for the preset and switches, which no preset sets: the Prefect UI's form would fill them in, and send them over the preset's values."""
        schema = handler(core_schema)
        _drop_defaults(handler.resolve_ref_schema(schema), handler, kept=("preset",))
        return schema

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        preset = values.get("preset", cls.model_fields["preset"].default)
        return merge(read_preset(preset), values) if preset in get_args(Preset) else values

    @model_validator(mode="after")
    def _solvable_head(self) -> Self:
        require_solvable_head(self.model, self.backbone, self.train)
        require_own_attention(self.model, self.train)
        return self


def _drop_defaults(
    schema: JsonSchemaValue, handler: GetJsonSchemaHandler, kept: tuple[str, ...] = ()
) -> None:
    """Take the defaults out of the schema of a model, in place, and out of those that it refers to."""
    for name, value in schema.get("properties", {}).items():
        if name not in kept and value.get("type") != "boolean":  # the form sends an empty switch as false
            value.pop("default", None)
        for part in (value, value.get("items", {})):
            if "$ref" in part:
                _drop_defaults(handler.resolve_ref_schema(part), handler)


def load_settings(
    preset: str | None = None,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    datasets: Iterable[str] = (),
) -> Settings:
    """Settings from a preset, then a YAML file, then `section.key=value` texts, then data sets named in the call.

    Raises SettingsError, which names the setting, for what is unknown, out of bounds or cannot be read.
    """
    values = given_values(config, overrides, datasets)
    if preset:
        values["preset"] = preset
    return settings_of(values)


def given_values(
    config: Path | None, overrides: Iterable[str] = (), datasets: Iterable[str] = ()
) -> dict[str, Any]:
    """What a call gives, as one tree and not checked yet: a YAML file, `section.key=value` texts, data sets."""
    values: dict[str, Any] = _read_config(config) if config else {}
    for text in overrides:
        values = merge(values, _parse_override(text))
    uris = list(datasets)
    return values | {"datasets": [{"uri": uri} for uri in uris]} if uris else values


def settings_of(values: Mapping[str, Any]) -> Settings:
    """The settings of a tree of values. Raises SettingsError, which names the setting, for what is unknown or out of bounds."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def read_preset(name: str) -> dict[str, Any]:
    """The values of a preset."""
    text = resources.files("flows").joinpath(f"presets/{name}.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, mapping by mapping; lists are replaced."""
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        plain = value.model_dump() if isinstance(value, BaseModel) else value
        merged[key] = (
            merge(before, plain) if isinstance(before, Mapping) and isinstance(plain, Mapping) else plain
        )
    return merged


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(path.read_text("utf-8"))
    except OSError as error:
        message = f"--config {path} cannot be read: {error.strerror}"
        raise SettingsError(message) from error
    except (yaml.YAMLError, ValueError) as error:
        message = f"--config {path} is not YAML: {' '.join(str(error).split())}"
        raise SettingsError(message) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        message = f"--config {path}: expected settings by name, got {type(values).__name__}"
        raise SettingsError(message)
    return values


def _parse_override(text: str) -> dict[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        message = f"--set {_brief(text)}: expected section.key=value, like --set train.epochs=20"
        raise SettingsError(message)
    try:
        parsed: Any = read_yaml(value)
    except (yaml.YAMLError, ValueError) as error:
        message = f"--set {_brief(text)}: {_brief(value)} is not a YAML value: quote it"
        raise SettingsError(message) from error
    for key in reversed(name.strip().split(".")):
        parsed = {key: parsed}
    return dict(parsed)


def _explain(error: ValidationError) -> str:
    """One line a mistake, the setting's full name first."""
    lines = []
    for mistake in error.errors():
        name = ".".join(str(part) for part in mistake["loc"])
        if mistake["type"] == "extra_forbidden":
            known = sorted(setting_names(Settings))
            section = name.partition(".")[0]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            names = near or [known_name for known_name in known if known_name.startswith(f"{section}.")]
            hint = (
                f"did you mean {names[0]}?"
                if near
                else f"known: {', '.join(names or sorted(Settings.model_fields))}"
            )
            lines.append(f"unknown setting {name}: {hint}")
        else:
            lines.append(
                f"setting {name}: {mistake['msg'][0].lower()}{mistake['msg'][1:]}, got {_brief(mistake['input'])}"
            )
    return "\n".join(lines)


def _brief(value: object) -> str:
    """A value as a message shows it: not all of a long one, and no secret in an address."""
    text = redacted(repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def setting_names(model: type[BaseModel], prefix: str = "") -> Iterable[str]:
    """The dotted name of every setting below `model`."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
