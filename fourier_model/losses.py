"""The loss of training: cross entropy, and within each pair of a real image and its blend the loss of their order."""

import keras
import tensorflow as tf


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
