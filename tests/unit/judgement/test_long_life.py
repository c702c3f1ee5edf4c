"""A detector that judges for days stays as it is."""

import gc

import numpy as np
import psutil
import pytest

from storage.images import write_image
from tasks.detect import Detector
from tests.unit.judgement.conftest import picture

DETECTIONS, WARM = 10_000, 500
MOST_MEGABYTES = 25


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_detections_leave_memory_and_files_as_they_were(world, tmp_path):
    detector = Detector.load(world.folder("bundle"))
    clip = tmp_path / "still.png"
    write_image(clip, picture(np.random.default_rng(0), 5))
    process = psutil.Process()

    def resources() -> tuple[float, int]:
        gc.collect()
        everyone = [process, *process.children(recursive=True)]  # the processes that read clips too
        return sum(one.memory_info().rss for one in everyone) / 1e6, process.num_fds()

    first = detector.judge(clip)
    assert first.status == "scored"
    for _ in range(WARM):
        detector.judge(clip)
    before = resources()
    for _ in range(DETECTIONS - WARM):
        judged = detector.judge(clip)
    after = resources()
    assert judged == first
    assert after[0] - before[0] < MOST_MEGABYTES
    assert after[1] <= before[1]
