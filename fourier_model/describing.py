"""What a detector says of the images of a clip, whatever runs its networks: features and logits, image by image, then what time adds."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

AT_WORK = 2
"""Images at once: a network leaves processors idle between its larger steps, and the next image fills those gaps."""

Floats = NDArray[np.float32]
Describe = Callable[[Any], tuple[Floats, float]]


class ClipDescriber:
    """Describes images, RGB in 0 to 255, shape (height, width, 3), each as a batch of its own: the same whatever is described beside it.

    `describe` gives of one image what the detector's head reads, float32, shape (features,), and its logit, and may be called by several threads
    at once. `residual` gives what time adds to the logits of one clip, float32, shape (images,), of features of shape (images, features); None
    where the detector has no temporal head.
    """

    def __init__(self, describe: Describe, residual: Callable[[Floats], Floats] | None = None) -> None:
        self._describe = describe
        self._residual = residual

    def __call__(self, images: Iterable[Any]) -> tuple[Floats, Floats]:
        """Features, shape (images, features), and logits, shape (images,), of one clip's images in the order of time, float32."""
        return self.in_time(list(self.each(images)))

    def each(
        self, images: Iterable[Any], read: Callable[[Any], Any] = lambda image: image
    ) -> Iterator[tuple[Floats, float]]:
        """Features and logit of each image by itself, in order; images are taken as they are needed, a few ahead.

        `read` makes images of what is given instead of them, several at once.
        """
        waiting: deque[Future[tuple[Floats, float]]] = deque()
        with ThreadPoolExecutor(AT_WORK) as workers:
            for image in images:
                waiting.append(workers.submit(lambda item: self._describe(read(item)), image))
                if len(waiting) > AT_WORK:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def in_time(self, described: list[tuple[Floats, float]]) -> tuple[Floats, Floats]:
        """Features and logits of one clip, with what time adds, of those of its images in the order of time."""
        logits = np.array([logit for _, logit in described], np.float32)
        features = np.array([own for own, _ in described], np.float32).reshape(
            len(described), -1 if described else 0
        )
        if self._residual and len(described) > 1:
            logits = np.asarray(logits + self._residual(features), np.float32)
        return features, logits
