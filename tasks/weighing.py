"""From what a detector says of a face's pictures to a probability, its interval and a verdict, and whether it knows the like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, FiniteFloat
from pydantic.dataclasses import dataclass as checked
from scipy.special import expit, logit

from fourier_model.calibration import Calibration, probability
from fourier_model.clip_interval import clip_interval
from fourier_model.familiarity import Reference, alarm_level, distance, load_reference
from fourier_model.pooling import PoolingSettings, pool
from storage.manifest import Split
from storage.video import evenly_spread
from tasks.familiarity import RATE
from tasks.judgement import Verdict
from tasks.reference import FRAMES

Floats = NDArray[np.float64]


@checked(frozen=True)
class Scale:
    """The calibration, threshold and band of abstention of a detector, chosen on its validation videos."""

    temperature: Annotated[FiniteFloat, Field(gt=0)]
    bias: FiniteFloat
    threshold: Annotated[FiniteFloat, Field(ge=0, le=1)]
    margin: Annotated[FiniteFloat, Field(ge=0)] | None
    """Of the band, as a distance of calibrated logits; None where the detector has no band."""
    pooling: PoolingSettings

    @classmethod
    def of(cls, calibration: dict[str, Any]) -> Self:
        """From `TrainedModel.calibration()`."""
        return cls(
            temperature=calibration["temperature"],
            bias=calibration["bias"],
            threshold=calibration["threshold"],
            margin=calibration["abstention"]["margin"],
            pooling=PoolingSettings.model_validate(calibration["pooling"]),
        )

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Calibrated probabilities of fake, float64, same shape."""
        return probability(logits, self.temperature, self.bias)

    def weigh(self, logits: ArrayLike) -> tuple[float, tuple[float, float] | None, Verdict]:
        """Probability, interval and verdict of one face; `logits` are those of its pictures in the order of time, shape (pictures,)."""
        pooled = pool(logits, self.pooling)
        interval = clip_interval(logits, self.pooling)
        if interval:
            low, high = self.probabilities([min(interval[0], pooled), max(interval[1], pooled)])
            interval = float(low), float(high)
        calibrated = Calibration(self.temperature, self.bias).logits(pooled)
        return float(self.probabilities(pooled)), interval, self._verdict(float(calibrated))

    @property
    def uncertain(self) -> tuple[float, float] | None:
        """The probabilities between which a verdict is `uncertain`; None where it never is."""
        if not self.margin:
            return None
        cut = float(logit(self.threshold))
        low, high = expit([cut - self.margin, cut + self.margin])
        return float(low), float(high)

    @property
    def why_uncertain(self) -> str:
        """Why a verdict is `uncertain`."""
        low, high = self.uncertain or (self.threshold, self.threshold)
        return f"the probability lies between {low:.3f} and {high:.3f}, where verdicts were wrong too often on the validation videos"

    def _verdict(self, calibrated: float) -> Verdict:
        above = calibrated - float(logit(self.threshold))
        if abs(above) < (self.margin or 0.0):
            return "uncertain"
        return "fake" if above >= 0 else "real"


@dataclass(frozen=True)
class Familiarity:
    """What a detector's folder says of the features it was trained on; nothing where it holds no reference."""

    reference: Reference | None = None
    level: float | None = None
    """The alarm level of the mean distance; None where too few validation videos tell it."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Of the detector in `folder`."""
        if not (folder / "reference.npz").is_file():
            return cls()
        own = pd.read_parquet(folder / "reference_videos.parquet", columns=["split", "distance"])
        validation = own.loc[own["split"] == Split.VALIDATION, "distance"]
        return cls(load_reference(folder / "reference.npz"), alarm_level(validation, RATE))

    def measure(self, features: NDArray[np.float32]) -> tuple[float | None, bool | None]:
        """The mean distance of some of a face's pictures, and whether it exceeds the level; `features` has shape (pictures, features)."""
        if self.reference is None:
            return None, None
        chosen = features[evenly_spread(len(features), FRAMES)]
        mean = float(distance(self.reference, chosen).mean())
        return mean, None if self.level is None else mean > self.level

    def words(self, distance: float) -> str:
        """The warning of a distance above the level."""
        return (
            f"unlike the training data: its features are at distance {distance:.1f}, and only {RATE:.0%} of familiar videos "
            f"are beyond {self.level:.1f}"
        )
