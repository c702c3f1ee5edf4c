import asyncio
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.watch import FAKE_FOUND, AnnouncementError, announce, detect
from tasks.model import open_model
from tasks.promotion import PromotionError
from tests.unit.conftest import write_clip
from tests.unit.judgement.conftest import SIZE, pack_detector, picture


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pack_detector(tmp_path_factory.mktemp("detector") / "model")


@pytest.fixture
def uploads(tmp_path):
    """A real clip and two fake ones."""
    (tmp_path / "uploads").mkdir()
    for seed, (name, amplitude) in enumerate([("real", 0), ("fake", 5), ("worse", 6)]):
        frame = picture(np.random.default_rng(seed), amplitude, (SIZE, SIZE))
        fine = {"crf": "1", "preset": "ultrafast"}
        write_clip(tmp_path / "uploads" / f"{name}.mp4", 4, size=(SIZE, SIZE), options=fine, picture=lambda _, frame=frame: frame)  # fmt: skip
    return tmp_path / "uploads"


def while_listening(work, count):
    """What `work` returns, and the first `count` events of fakes that the server passes on."""

    async def listen():
        wanted = EventFilter(event=EventNameFilter(name=[FAKE_FOUND]))
        async with get_events_subscriber(wanted) as events:
            done = await asyncio.to_thread(work)
            return done, [await anext(events) for _ in range(count)]

    return asyncio.run(asyncio.wait_for(listen(), 120))


def test_an_event_per_fake_reaches_the_server_once_and_a_table_shows_what_was_judged(
    uploads, tmp_path, model
):
    call = {"folder": str(uploads), "model": str(model), "workspace": str(tmp_path / "ws"), "settle_s": 0}
    state, events = while_listening(lambda: detect(**call, return_state=True), 2)
    watched = state.result()
    assert [judged.verdict for judged in watched.judged] == ["fake", "real", "fake"]
    rows = pd.read_parquet(tmp_path / "ws" / "detections").set_index("sha256")
    assert rows["announced_at"].notna().sum() == 2
    for event in events:
        row = rows.loc[event.resource.id.removeprefix("fourier-deepfake.clip.")]
        assert (str(event.id), event.payload["path"]) == (row["event_id"], row["path"])
        assert event.payload["probability_fake"] == row["probability_fake"]
        assert event.payload["interval"] == list(row["interval"])
        assert event.payload["model"] == open_model(model).digest
        assert [related.id for related in event.related] == [
            f"prefect.flow-run.{state.state_details.flow_run_id}"
        ]
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(state.state_details.flow_run_id)
        own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        found = {artifact.key: artifact for artifact in client.read_artifacts(artifact_filter=own)}
    assert run.name == "detect uploads"
    table = json.loads(found["judged"].data)
    assert [Path(row["file"]).stem for row in table][2] == "real"
    assert found["judged"].description.startswith("3 judged, 2 of them fake")
    assert str((tmp_path / "ws" / "detections").resolve()) in found["detections"].description
    assert detect(**call).announced == 0


def test_a_server_that_does_not_answer_fails_the_run_and_the_next_one_tells(
    uploads, tmp_path, model, monkeypatch
):
    call = {"folder": str(uploads), "model": str(model), "workspace": str(tmp_path / "ws"), "settle_s": 0}

    def cut_off(fake):
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
            return announce(fake)

    monkeypatch.setattr("flows.watch.announce", cut_off)
    with pytest.raises(AnnouncementError, match=r"2 fakes are recorded below .*the next run sends them"):
        detect(**call)
    monkeypatch.undo()
    watched, events = while_listening(lambda: detect(**call), 2)
    assert (watched.judged, watched.announced) == ([], 2)
    assert {Path(event.payload["path"]).stem for event in events} == {"fake", "worse"}


def test_without_a_promoted_detector_the_run_says_how_to_name_one(uploads, tmp_path):
    with pytest.raises(PromotionError, match=r"no model of .* is promoted"):
        detect(str(uploads), workspace=str(tmp_path / "empty"))
