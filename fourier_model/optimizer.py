"""The optimizer of a phase: AdamW with warm-up, decay, clipped gradients and rates that fall towards the input."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from fourier_model.backbones import PLACES
from fourier_model.settings import TrainSettings


def optimizer(
    rate: float, steps: int, settings: TrainSettings, factors: Mapping[str, float]
) -> keras.optimizers.Optimizer:
    """AdamW whose rate rises to `rate` over the share `settings.warmup` of `steps`, then falls as a cosine to zero.

    `factors` are those of `learning_rates`. Gradients are scaled down where their norm over all weights exceeds
    `settings.clip_norm`.
    """
    warm = round(settings.warmup * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warm else rate, steps - warm, warmup_target=rate if warm else None, warmup_steps=warm
    )
    return LayerwiseAdamW(
        schedule, weight_decay=settings.weight_decay, global_clipnorm=settings.clip_norm, factors=factors
    )


def learning_rates(detector: keras.Model, decay: float, head: float) -> dict[str, float]:
    """For each weight, by its path, what its learning rate is multiplied by.

    `head` behind the backbone, and in it `decay` to the power of the number of blocks from there, 0 for the last one: a block ends with each place of attention.
    Source: Howard and Ruder 2018 (discriminative fine-tuning).
    """
    places = {place for names in PLACES.values() for place in names}
    ends = [index for index, layer in enumerate(detector.layers) if layer.name in places]
    factors: dict[str, float] = {}
    for index, layer in enumerate(detector.layers):
        blocks = sum(end >= index for end in ends)
        factor = decay ** (blocks - 1) if blocks else head
        factors |= {weight.path: factor for weight in layer.weights}
    return factors


class LayerwiseAdamW(keras.optimizers.AdamW):  # type: ignore[misc, unused-ignore]
    """AdamW with a learning rate of its own for each weight; its decay follows the rate."""

    def __init__(self, *args: Any, factors: Mapping[str, float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._factors = factors
        self._of_variables: list[float] = []

    def build(self, variables: list[Any]) -> None:
        """Keras' hook."""
        self._of_variables = [self._factors[variable.path] for variable in variables]
        super().build(variables)

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Keras' hook."""
        factor = self._of_variables[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Keras' step over all devices, left out on a single one: TensorFlow keeps the gradient of such a sum, and the graph it stands in, as long as the process lives."""
        if self._distribution_strategy.num_replicas_in_sync == 1:
            return grads_and_vars
        return super()._all_reduce_sum_gradients(grads_and_vars)
