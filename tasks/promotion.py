"""The detectors of a workspace, and which one of them is recommended: a worse one does not take its place."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from fourier_model.comparison import finding
from fourier_model.metrics import EvaluationSettings
from storage.workspace import Workspace
from tasks.bundle import words_of_estimate
from tasks.compare import ComparisonError, compare
from tasks.model import ModelError, TrainedModel, open_model
from tasks.records import ModelLink, RunRecord, key_numbers, link_model, model_digests, read_records

MODELS = "models"
PROMOTED = "promoted.json"
NAMES = {"auc": "AUC", "accuracy": "accuracy"}


class PromotionError(ValueError):
    """A detector or the record of promotions cannot be found or read; the message says what would help."""


class RefusedError(RuntimeError):
    """A detector is not promoted; the message says why, and what would help."""


class Promotion(BaseModel):
    """That a detector became the recommended one, and on what evidence."""

    model_config = ConfigDict(frozen=True)

    model: ModelLink
    at: datetime
    """In UTC."""
    replaced: str | None
    """Path of the detector that was recommended before."""
    forced: bool
    """Whether it was promoted against the evidence, or without any."""
    compared: list[dict[str, Any]]
    """What each comparison with the detector before said."""
    reasons: list[str]
    """Why comparisons could not be made."""


class _Promotions(BaseModel):
    """The file: all promotions, the last one holds."""

    format_version: Literal[1] = 1
    promotions: list[Promotion]


def current_promotion(workspace: Workspace) -> Promotion | None:
    """The promotion that holds; None where nothing is promoted yet. Raises PromotionError for a file that cannot be read."""
    return next(reversed(_promotions(workspace)), None)


def promoted_folder(workspace: Workspace) -> Path:
    """The folder of the promoted detector. Raises PromotionError where nothing is promoted, or the detector is gone or another."""
    promotion = current_promotion(workspace)
    if promotion is None:
        message = (
            f"no model of {workspace} is promoted: name one with --model, or promote one (`models promote`)"
        )
        raise PromotionError(message)
    lost = _lost(workspace, promotion)
    if lost:
        message = f"{lost}: name a model with --model, or promote another one"
        raise PromotionError(message)
    return workspace.folder(promotion.model.path)


def list_models(workspace: Workspace) -> list[dict[str, JsonValue]]:
    """The detectors of a workspace, the oldest first: `key`, `path`, `packed`, `digest`, `promoted`, `reason`, and what is in them.

    `reason` says why a folder is no detector that this release can use; then the rest is null.
    """
    promotion = current_promotion(workspace)
    folders = [workspace.folder(f"{MODELS}/{key}") for key in workspace.keys(MODELS)]
    folders = [folder for folder in folders if (folder / "model.json").is_file()]
    return [
        _described(workspace, folder, promotion)
        for folder in sorted(folders, key=lambda path: (_packed(path), path.name))
    ]


def _packed(folder: Path) -> datetime:
    """When the folder was published."""
    return datetime.fromtimestamp((folder / "model.json").stat().st_mtime, UTC)


def _described(workspace: Workspace, folder: Path, promotion: Promotion | None) -> dict[str, JsonValue]:
    row: dict[str, JsonValue] = {
        "key": folder.name,
        "path": folder.relative_to(workspace.root).as_posix(),
        "packed": _packed(folder).isoformat(timespec="seconds"),
        "promoted": False,
        "reason": None,
    }
    known = ("digest", "preset", "backbone", "data", "judged", "numbers")
    try:
        record = TrainedModel(root=str(folder), files={}).record()
    except ModelError as error:
        return row | dict.fromkeys(known) | {"reason": str(error)}
    configuration = record["configuration"]
    return row | {
        "promoted": promotion is not None and promotion.model.digests == model_digests(folder),
        "digest": record["digests"]["model.keras"],
        "preset": configuration["preset"],
        "backbone": configuration["backbone"]["name"],
        "data": record["data"],
        "judged": record["metrics"]["video"]["counts"],
        "numbers": key_numbers(record["metrics"]),
    }


def promote(workspace: Workspace, name: str, *, force: bool, seed: int) -> Promotion:
    """Make a detector, by its folder or the beginning of its key, the recommended one of the workspace.

    It is compared with the recommended one on the videos that both judged: their tests, and the data sets that both were evaluated
    on. Raises RefusedError where an interval of AUC or accuracy lies below zero, or nothing can be compared, unless with
    `force`; PromotionError or ModelError where there is no such detector.
    """
    folder = find_model(workspace, name)
    open_model(folder)  # refuses a folder that is not whole
    link = link_model(workspace, folder)
    before = current_promotion(workspace)
    if before and before.model.digests == link.digests:
        return before
    compared, reasons, objection = _evidence(workspace, link, before, seed) if before else ([], [], None)
    if objection and not force:
        raise RefusedError(objection)
    promotion = Promotion(
        model=link,
        at=datetime.now(UTC),
        replaced=before.model.path if before else None,
        forced=objection is not None,
        compared=compared,
        reasons=reasons,
    )
    content = _Promotions(promotions=[*_promotions(workspace), promotion]).model_dump_json(indent=1)
    workspace.write(PROMOTED, f"{content}\n".encode())
    return promotion


def find_model(workspace: Workspace, name: str) -> Path:
    """The folder of a detector in the workspace, from its path or the beginning of its key.

    Raises PromotionError where none or several are meant, or it lies elsewhere.
    """
    models = workspace.root / MODELS
    given = Path(name).expanduser().resolve()
    keys = workspace.keys(MODELS)
    if given.parent == models.resolve() and given.name in keys:
        return workspace.folder(f"{MODELS}/{given.name}")
    matching = [key for key in keys if name and key.startswith(name)]
    if len(matching) != 1:
        which = (
            "several models begin so"
            if matching
            else f"no model below {workspace}/{MODELS} begins so or is this folder"
        )
        message = f"model {name!r}: {which} ({', '.join(matching or keys) or 'none'}): name one of them"
        raise PromotionError(message)
    return workspace.folder(f"{MODELS}/{matching[0]}")


def _evidence(
    workspace: Workspace, candidate: ModelLink, before: Promotion, seed: int
) -> tuple[list[dict[str, Any]], list[str], str | None]:
    """All comparisons of the candidate with the promoted one, why others could not be made, and what speaks against the candidate."""
    force = "; --force promotes it all the same"
    lost = _lost(workspace, before)
    if lost:
        return [], [lost], f"{lost}, so that nothing can be compared{force}"
    compared: list[dict[str, Any]] = []
    reasons: list[str] = []
    for first, second in _shared_tests(workspace, candidate, before.model, reasons):
        try:
            compared.append(compare(first, second, EvaluationSettings(), seed))
        except ComparisonError as error:
            reasons.append(str(error))
    for result in compared:
        worse = [name for name, sign in finding(result).signs.items() if sign < 0]
        if worse:
            numbers = " and ".join(
                f"{NAMES[name]} {result[name]['first']['value']:.3f} against {result[name]['second']['value']:.3f}, "
                f"difference {words_of_estimate(result[name]['difference'])}"
                for name in worse
            )
            objection = (
                f"{candidate.path} is worse than the promoted {before.model.path} on the {result['counts']['videos']} videos of "
                f"{result['counts']['groups']} groups that both judged: {numbers}{force}"
            )
            return compared, reasons, objection
    if not compared:
        objection = (
            f"{candidate.path} cannot be compared with the promoted {before.model.path}: {'; '.join(reasons)}. "
            f"Run `evaluate` with both on one data set that neither has seen, then promote again{force}"
        )
        return compared, reasons, objection
    return compared, reasons, None


def _shared_tests(
    workspace: Workspace, candidate: ModelLink, promoted: ModelLink, reasons: list[str]
) -> list[tuple[Path, Path]]:
    """Folders of judgements that may share videos: of the tests, and of the newest evaluations on equal data sets.

    An evaluation with videos that its detector was trained on says nothing; `reasons` is told.
    """
    pairs = [(workspace.folder(candidate.path), workspace.folder(promoted.path))]
    evaluations = [record for record in read_records(workspace) if record.kind == "evaluate"]
    first, second = (_newest_by_data(evaluations, link) for link in (candidate, promoted))
    for data in first.keys() & second.keys():
        own = (first[data], second[data])
        seen = [record for record in own if _copies_of_training(workspace, record)]
        if seen:
            reasons.append(
                f"{seen[0].model.path} was evaluated on {data}, some videos of which it was trained on"
            )
        else:
            pairs.append((workspace.folder(own[0].judgement), workspace.folder(own[1].judgement)))
    return pairs


def _newest_by_data(evaluations: list[RunRecord], model: ModelLink) -> dict[str, RunRecord]:
    """The newest evaluation of a detector on each list of data sets."""
    return {
        json.dumps(record.configuration["datasets"], sort_keys=True): record
        for record in evaluations
        if record.model.digests == model.digests
    }


def _copies_of_training(workspace: Workspace, record: RunRecord) -> bool:
    path = workspace.folder(record.artifacts["split"].path) / "split.json"
    return bool(json.loads(path.read_text("utf-8"))["seen"]["copies"]) if path.is_file() else False


def _promotions(workspace: Workspace) -> list[Promotion]:
    workspace.refresh(PROMOTED)
    path = workspace.root / PROMOTED
    if not path.is_file():
        return []
    try:
        return _Promotions.model_validate_json(path.read_bytes()).promotions
    except ValidationError as error:
        message = (
            f"{path} is no record of promotions that this release can read: remove it, and promote again"
        )
        raise PromotionError(message) from error


def _lost(workspace: Workspace, promotion: Promotion) -> str | None:
    """That the promoted detector is gone or another one, as a sentence."""
    folder = workspace.folder(promotion.model.path)
    if not (folder / "model.json").is_file():
        return f"the promoted model {promotion.model.path} is gone"
    if model_digests(folder) != promotion.model.digests:
        return f"the promoted model {promotion.model.path} is not what it was when it was promoted"
    return None
