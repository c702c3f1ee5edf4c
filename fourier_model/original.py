"""The first recipe's attention, with the faults that it had: the baseline to beat."""

import tensorflow as tf

from fourier_model.transforms import FastTransforms, Transforms

FAST = FastTransforms()


def original_attention(maps: tf.Tensor, transforms: Transforms = FAST) -> tf.Tensor:
    """Weigh channels by a softmax over the mean magnitude of a transform, as the first FourierAttention did.

    attention = softmax over channels of mean over axes 1, 2 of |fftshift(fft2(x))|. The transform runs over the last two
    axes of (batch, height, width, channels), width and channels instead of height and width; fftshift without axes also
    rolls the batch by half, so that sample i is weighed by sample i + B/2; and of maps that are not negative the sum over all channels,
    shifted to the middle, is so much larger than the rest that the softmax gives channel C/2 all the weight, whatever the
    picture shows. `maps` is float32; returns the same shape.
    """
    magnitude = tf.signal.fftshift(transforms.magnitude(maps))
    return maps * tf.nn.softmax(tf.reduce_mean(magnitude, axis=(1, 2), keepdims=True), axis=-1)


def original_attention_over_space(maps: tf.Tensor, transforms: Transforms = FAST) -> tf.Tensor:
    """`original_attention` with its axes mended and nothing else: transform and shift run over height and width.

    Shifting no longer matters, since all of a map's bins are averaged. The softmax no longer saturates: of 2,048 channels it gives
    each about 1/2048, and so mostly makes features small.
    """
    magnitude = tf.reduce_mean(transforms.magnitude(tf.transpose(maps, (0, 3, 1, 2))), axis=(2, 3))
    return maps * tf.nn.softmax(magnitude, axis=-1)[:, None, None, :]
