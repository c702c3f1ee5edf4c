"""Python within TensorFlow's graphs."""

import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def call_in_graph(function: Callable[..., Any], inputs: Sequence[tf.Tensor], kind: tf.DType) -> tf.Tensor:
    """`tf.numpy_function`, which would keep `function` and all that it holds, the frames of a training, as long as the process lives.

    So whoever builds the graph has to keep `function`; a data set keeps what it maps by.
    """
    known = weakref.WeakMethod(function) if inspect.ismethod(function) else weakref.ref(function)

    def call(*arguments: Any) -> Any:
        kept = known()
        assert kept is not None
        return kept(*arguments)

    return tf.numpy_function(call, inputs, kind)
