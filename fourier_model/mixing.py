"""Mixed examples: MixUp and CutMix over the examples of a batch."""

import tensorflow as tf

Batch = tuple[tuple[tf.Tensor, ...], tf.Tensor, tf.Tensor]
"""What the model reads, a tensor an input; labels; weights."""


def mixed(
    batches: tf.data.Dataset, mixup: float, cutmix: float, seed: int, first: int = 0
) -> tf.data.Dataset:
    """Batches of (inputs, label, weight) in which each example is mixed with another one of its batch; `first` is the number of the first batch.

    `mixup` and `cutmix` are the parameters of the beta distribution that the share of the first is drawn from, once a batch; 0 leaves one out, with both
    each batch takes either. The first input is an image: MixUp averages both, CutMix pastes a rectangle of the
    other. Further inputs, the label and the weight are averaged by the same share.
    Sources: Zhang et al. 2018 (MixUp), Yun et al. 2019 (CutMix).
    """
    if not (mixup or cutmix):
        return batches

    def mix(number: tf.Tensor, batch: Batch) -> Batch:
        inputs, labels, weights = batch

        def seeds(use: int) -> tf.Tensor:
            return tf.stack([tf.constant(seed + use, tf.int64), number])

        cuts = tf.random.stateless_uniform((), seeds(0)) < (0.5 if mixup and cutmix else float(cutmix > 0))
        share = _beta(tf.where(cuts, cutmix or 1.0, mixup or 1.0), seeds(1))
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(labels)[0]), seeds(2))
        image = inputs[0]
        pasted, kept = _rectangle(image, share, seeds(3))
        share = tf.where(cuts, kept, share)
        other = tf.gather(image, order)
        mixed_image = tf.where(cuts, tf.where(pasted, other, image), share * image + (1 - share) * other)
        rest = [
            share * values + (1 - share) * tf.gather(values, order)
            for values in (*inputs[1:], labels, weights)
        ]
        return (mixed_image, *rest[:-2]), rest[-2], rest[-1]

    return batches.enumerate(first).map(mix, num_parallel_calls=tf.data.AUTOTUNE)


def _beta(parameter: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """A draw of the symmetric beta distribution, in 0 to 1."""
    gammas = tf.random.stateless_gamma((2,), seeds, alpha=parameter)
    return gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-30)


def _rectangle(images: tf.Tensor, share: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the other image is pasted, bool of shape (height, width, 1), and the share of pixels that is not."""
    edges = tf.cast(tf.shape(images)[1:3], tf.float32)
    half = edges * tf.sqrt(1 - share) / 2
    centre = edges * tf.random.stateless_uniform((2,), seeds)
    inside = [
        tf.logical_and(
            tf.range(edges[axis]) >= centre[axis] - half[axis],
            tf.range(edges[axis]) < centre[axis] + half[axis],
        )
        for axis in (0, 1)
    ]
    pasted = tf.logical_and(inside[0][:, None], inside[1][None])[..., None]
    return pasted, 1 - tf.reduce_mean(tf.cast(pasted, tf.float32))
