"""Training on many devices: the batch of a step is shared out over them, and their gradients are summed."""

from functools import cache
from typing import Any, Literal

import keras
import tensorflow as tf

Distribute = Literal["none", "mirrored", "multi-worker"]


class DistributionError(RuntimeError):
    """The devices cannot be used together; the message says what would help."""


@cache
def strategy_for(distribute: Distribute) -> tf.distribute.Strategy:
    """How variables are placed: on one device, on each of this machine, or on each of all machines that TF_CONFIG names.

    Devices are the GPUs, or the CPUs where there are none. One strategy serves all trainings of a process: a second one numbers its collective
    operations like the first, and TensorFlow takes them for the same. Raises DistributionError where machines are asked for after TensorFlow was used.
    """
    if distribute == "multi-worker":
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            message = (
                "train.distribute=multi-worker must be set up before TensorFlow computes anything else in a process: run the same command "
                f"again, since the stages before training are cached now ({error})"
            )
            raise DistributionError(message) from error
    if distribute == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def synchronise(detector: keras.Model) -> None:
    """Let batch normalisation take its statistics over the whole batch, not over the share of a device, where there are several."""
    if detector.distribute_strategy.num_replicas_in_sync == 1:
        return
    for layer in detector.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


class SharedModel(keras.Model):  # type: ignore[misc, unused-ignore]
    """A model, built in the scope of a strategy, whose `fit` takes each batch apart and gives every device its share.

    The loss of a batch is the same as on one device also where the shares differ in size, and every example is in one of them. Each machine goes
    through the same batches in the same order. Keras' own `fit` weighs shares of unequal size alike, and cannot run over several machines.
    """

    def fit(
        self,
        batches: tf.data.Dataset,
        *,
        epochs: int,
        steps_per_epoch: int,
        callbacks: list[keras.callbacks.Callback],
        initial_epoch: int = 0,
        **_: Any,
    ) -> None:
        """Train on batches of inputs, targets, shape (examples, 1), and weights, shape (examples,); `batches` starts at `initial_epoch`."""
        hooks = keras.callbacks.CallbackList(callbacks, model=self, epochs=epochs, steps=steps_per_epoch)
        step, left = self._step(batches.element_spec), iter(batches)
        self.stop_training = False
        hooks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            hooks.on_epoch_begin(epoch)
            total, examples = 0.0, 0
            for _batch in range(steps_per_epoch):
                batch = next(left)
                total += float(step(batch))
                examples += int(batch[-1].shape[0])
            hooks.on_epoch_end(epoch, {"loss": total / examples})
            if self.stop_training:
                break
        hooks.on_train_end()

    def _step(self, spec: tuple[Any, ...]) -> Any:
        """One step over all devices, from a batch to the sum of the losses of its examples."""
        losses = self.loss.__class__.from_config(self.loss.get_config() | {"reduction": "none"})
        strategy = self.distribute_strategy
        devices = strategy.num_replicas_in_sync

        def share(rows: tf.Tensor) -> tf.Tensor:
            return rows[tf.distribute.get_replica_context().replica_id_in_sync_group :: devices]

        def learn(inputs: Any, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            count = tf.cast(tf.shape(weights)[0], tf.float32)
            inputs, targets, weights = tf.nest.map_structure(share, (inputs, targets, weights))
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(weights * losses(targets, self(inputs, training=True)))
                mean = loss / count
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(mean, variables), variables, strict=True))
            return loss

        def step(batch: tuple[Any, ...]) -> tf.Tensor:
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(learn, args=batch), axis=None)

        return tf.function(step, input_signature=[spec], jit_compile=False)
