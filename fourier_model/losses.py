"""What training lowers and an epoch is chosen by: log losses, weighted by class, and the loss of the order within pairs."""

import math

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from fourier_model.examples import Frames


class PairedCrossentropy(keras.losses.Loss):  # type: ignore[misc, unused-ignore]
    """Cross entropy of logits plus `share` times the log loss of ranking each blend above its real.

    `y_true` has shape (batch, 2): the label, 0 or 1, and the number of the unit; a real and a fake of one unit are a pair. `y_pred` holds logits of
    fake, shape (batch, 1). Returns a loss an example, shape (batch,), before weights; both of a pair carry half of its ranking loss.
    Source of the ranking loss: Burges et al. 2005 (RankNet).
    """

    def __init__(self, share: float) -> None:
        super().__init__(name="paired_crossentropy")
        self.share = share

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Keras' hook."""
        labels, units, logits = y_true[:, 0], y_true[:, 1], y_pred[:, 0]
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        pairs = (units[:, None] == units[None]) & (labels[:, None] == 0) & (labels[None] == 1)
        ranking = tf.where(pairs, tf.nn.softplus(logits[:, None] - logits[None]), 0.0)
        halves = (tf.reduce_sum(ranking, axis=1) + tf.reduce_sum(ranking, axis=0)) / 2
        return losses + self.share * halves


def class_weights(labels: np.ndarray, imbalance: str) -> np.ndarray:
    """Weight of an example of each class, float32, shape (2,): n / (2 n_c) for class_weight, 1 for none."""
    if imbalance == "none":
        return np.ones(2, np.float32)
    return (len(labels) / (2.0 * np.bincount(labels, minlength=2))).astype(np.float32)


def judge_videos(logits: np.ndarray, frames: Frames, weights: np.ndarray) -> tuple[float, float]:
    """Weighted mean log loss (nats) and AUC of the videos, each judged by the mean of its frames' logits.

    `logits` has shape (n,), one a frame; `weights` one number a class.
    """
    if not np.isfinite(logits).all():
        return math.nan, math.nan
    table = pd.DataFrame(
        {"video": list(frames.video_ids), "label": frames.labels, "logit": logits.astype(np.float64)}
    )
    videos = table.groupby("video").agg({"label": "first", "logit": "mean"})
    labels, means = videos["label"].to_numpy(), videos["logit"].to_numpy()
    losses = log_losses(means, labels)
    return float(np.average(losses, weights=weights[labels])), float(roc_auc_score(labels, means))


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log loss (nats) of each logit, shape (n,), whose label is 0 or 1."""
    return np.asarray(np.logaddexp(0.0, np.where(labels == 1, -logits, logits)))
