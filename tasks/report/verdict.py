"""What came out, in sentences."""

from typing import Any

import pandas as pd

from storage.manifest import FAKE
from tasks.bundle import SAMPLE
from tasks.split import FEW_GROUPS
from tasks.tables import usable_videos


def verdict(videos: pd.DataFrame, judged: dict[str, Any] | None, warnings: list[str]) -> list[str]:
    """What came out, in sentences."""
    caution = (
        [f"{len(warnings)} findings on the data limit what can be concluded: see Findings."]
        if warnings
        else []
    )
    usable = usable_videos(videos)
    fakes = int((usable["label"] == FAKE).sum())
    if judged is None:
        return [
            f"This is a look at the data alone: {len(usable) - fakes} real and {fakes} fake usable videos. No detector was judged.",
            *caution,
        ]
    video = judged["metrics"]["video"]
    (_, alarms), (missed, caught) = video["confusion_matrix"]
    counts = video["counts"]
    auc = video["auc"]
    judged_videos = f"On {counts['samples']} test videos that it never saw ({counts['real']} real, {counts['fake']} fake), the detector"
    verdicts = f"finds {caught} of {caught + missed} fakes and calls {alarms} of {counts['real']} reals fake."
    if auc["value"] is None:
        sentences = [f"{judged_videos} {verdicts} Videos of one class say nothing of how it ranks."]
    else:
        sentences = [
            f"{judged_videos} scores a random fake above a random real {auc['value']:.1%} of the time{_interval(auc)}.",
            f"At its threshold it {verdicts}",
        ]
    if auc["value"] is not None and (auc["low"] is None or auc["low"] <= 0.5):
        sentences.append("It is not shown to be better than guessing.")
    sentences += abstention(judged["metrics"]["abstention"], counts["samples"])
    if "sentence" in judged["metrics"]["baseline"]:
        sentences.append(judged["metrics"]["baseline"]["sentence"])
    if counts["groups"] < FEW_GROUPS:
        sentences.append(
            f"The test holds {counts['groups']} groups of related videos: too few for these intervals to be wide enough."
        )
    if set(usable["dataset"]) == {SAMPLE}:
        sentences.append(
            "The data are generated sample clips: this shows that the pipeline works and finds spectral traces, and "
            "proves nothing about deepfakes of people."
        )
    return sentences + caution


def abstention(band: dict[str, Any], videos: int) -> list[str]:
    """What comes of giving no verdict near the threshold; nothing where there is no such band."""
    if not band["margin"]:
        return []
    silent = sum(band["abstained"].values())
    words = f"With no verdict for probabilities from {band['low']:.2f} to {band['high']:.2f}, it judges {videos - silent} of the {videos} videos"
    error = band["error_rate"]
    return [
        words
        + ("." if error["value"] is None else f", {error['value']:.1%} of these wrongly{_interval(error)}.")
    ]


def _interval(estimate: dict[str, Any]) -> str:
    return "" if estimate["low"] is None else f" ({estimate['low']:.1%} to {estimate['high']:.1%})"
