"""What is said of a clip that nobody labelled: the objects that Python calls, files, the API and flows share."""

import os
from html import escape
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["real", "fake", "uncertain"]
Status = Literal["scored", "abstained", "failed"]


def shown(path: Path | str) -> str:
    r"""A path as text; bytes that are no UTF-8 as `\xff`, since neither JSON nor Parquet can hold them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class FrameScore(BaseModel):
    """What was said of one frame of one face."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_index: int = Field(description="Position in the order of showing, from 0.")
    timestamp_s: float | None = Field(description="Seconds since the first frame; null for an image.")
    probability_fake: float = Field(
        description="Of this frame alone, 0 to 1, by the calibration that was fitted on whole clips."
    )
    face_box: dict[str, int] | None = Field(
        description="x, y, width, height in source pixels; null for a whole frame."
    )


class FaceJudgement(BaseModel):
    """What was said of one face, or of whole frames where the detector reads those."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: str = Field(description="Like `face 1 of 2, left`, numbered from the left; or `whole frame`.")
    probability_fake: float = Field(description="Calibrated probability, 0 to 1.")
    interval: tuple[float, float] | None = Field(
        description="95 % interval of it over the clip's groups of frames; null for one frame."
    )
    verdict: Verdict
    frames_scored: int
    distance: float | None = Field(
        description="Mean Mahalanobis distance of its features to those of the training; null where they are not known."
    )
    unfamiliar: bool | None = Field(
        description="Whether the distance exceeds the alarm level; null where there is none."
    )
    warnings: tuple[str, ...] = Field(description="What makes the verdict on it doubtful.")
    frames: tuple[FrameScore, ...] = Field(description="In the order of time.")


class Judgement(BaseModel):
    """What was said of one path. Probability, interval and verdict are those of the face with the highest probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="As it was asked for; bytes that are no UTF-8 as `\\xff`.")
    status: Status = Field(
        description="scored; abstained, where there is nothing to score; or failed, where it cannot be read."
    )
    probability_fake: float | None = Field(None, description="0 to 1; null unless scored.")
    verdict: Verdict | None = Field(None, description="Null unless scored.")
    interval: tuple[float, float] | None = None
    faces: tuple[FaceJudgement, ...] = Field((), description="From the left to the right.")
    frames_scored: int = Field(0, description="Frames of which at least one face was scored.")
    reason: str | None = Field(None, description="Why there is no score, or why the verdict is uncertain.")
    warnings: tuple[str, ...] = Field(
        (), description="What makes the verdict doubtful, of the clip and its faces."
    )
    width: int | None = Field(None, description="Pixels, as shown.")
    height: int | None = None
    duration_s: float | None = None
    codec: str | None = None
    sha256: str | None = Field(None, description="Of the file, hexadecimal; null where it cannot be read.")
    model: str = Field(description="Digest of the detector's folder.")

    def _repr_html_(self) -> str:
        """For notebooks: a table of its faces under one line, and below it what makes the verdict doubtful."""
        said = self.verdict or self.status
        rows = "".join(
            f"<tr><td>{escape(face.position)}</td><td>{face.verdict}</td><td>{face.probability_fake:.2f}</td>"
            f"<td>{_between(face.interval)}</td><td>{face.frames_scored}</td></tr>"
            for face in self.faces
        )
        head = "<tr><th></th><th>verdict</th><th>P(fake)</th><th>95 % interval</th><th>frames</th></tr>"
        told = [*([self.reason] if self.reason else []), *self.warnings]
        notes = "".join(f"<li>{escape(text)}</li>" for text in told)
        return (
            f"<p><strong>{said}</strong> {escape(self.path)}</p>"
            + (f"<table>{head}{rows}</table>" if rows else "")
            + (f"<ul>{notes}</ul>" if notes else "")
        )


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
