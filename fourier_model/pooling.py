"""How the logits of a video's frames become the logit of the video."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import log_expit, logsumexp

Floats = NDArray[np.float64]


class PoolingSettings(BaseModel):
    """How a video's score is made of its frames' scores; the same in calibration, judgement and detection."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pooling: Literal["mean_logit", "mean", "median", "top_k"] = Field(
        "mean_logit",
        description=(
            "What a video's logit is of its frames: their mean logit (mean_logit), the logit of their mean probability before any "
            "temperature (mean), their median logit (median), or the mean of the highest logits (top_k)."
        ),
    )
    top_k: int = Field(
        5,
        ge=1,
        le=10_000,
        description="How many of the highest logits top_k takes (frames); a video with fewer frames gives all it has.",
    )

    @property
    def words(self) -> str:
        """What a video's logit is, as the end of a sentence."""
        return {
            "mean_logit": "the mean of its frames' logits",
            "mean": "the logit of the mean of its frames' probabilities, before any temperature",
            "median": "the median of its frames' logits",
            "top_k": f"the mean of the {self.top_k} highest logits of its frames, of all where there are fewer",
        }[self.pooling]


def pool_logits(video_ids: ArrayLike, logits: ArrayLike, settings: PoolingSettings) -> "pd.Series[float]":
    """The logit of each video, float64, indexed by video id in sorted order.

    `video_ids` and `logits` have shape (frames,). A video's logits are sorted first, so that the order of the frames does not
    show in the last bits of the result. Every rule gives a video of one frame that frame's logit.
    """
    frames = pd.DataFrame({"video_id": np.asarray(video_ids), "logit": np.asarray(logits, dtype=np.float64)})
    return frames.groupby("video_id")["logit"].agg(lambda own: pool(own.to_numpy(), settings))


def pool(logits: ArrayLike, settings: PoolingSettings) -> float:
    """The logit of one video; `logits` are those of its frames in any order, shape (frames,), of which there is at least one."""
    ranked = np.sort(np.asarray(logits, dtype=np.float64))
    if settings.pooling == "median":
        return float(np.median(ranked))
    if settings.pooling == "top_k":
        return float(ranked[-settings.top_k :].mean())
    if settings.pooling == "mean":
        # The log of the odds of the mean probability, in logarithms throughout: probabilities saturate beyond a logit of 37.
        return float(logsumexp(log_expit(ranked)) - logsumexp(log_expit(-ranked)))
    return float(ranked.mean())
