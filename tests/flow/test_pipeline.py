import json
import re
import sys
from collections import Counter
from pathlib import Path
from uuid import UUID

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

from flows.config import Settings
from flows.execution import Execution
from flows.explore import explore
from flows.pipeline import pipeline, plan, unchanged
from flows.prepare import prepare
from flows.summary import explore_summary, pipeline_summary, prepare_summary
from flows.walk import actions
from storage.layouts.base import DataSetError
from storage.workspace import Workspace
from tasks.records import read_records
from tasks.sample import SampleSettings, write_sample
from tasks.skipped import TooManySkippedError
from tasks.split import SplitError

STAGES = [
    "download",
    "extract",
    "manifest",
    "split",
    "audit",
    "spectra",
    "explore",
    "train",
    "calibrate",
    "evaluate",
    "reference",
    "bundle",
    "explain",
    "report",
]


def changed(settings: Settings, **values: object) -> Settings:
    return Settings.model_validate(settings.model_dump() | values)


def workers_by_part(run_id: UUID) -> dict[str, int]:
    """How many workers each flow of a run was told to use."""
    with get_client(sync_client=True) as client:
        parts = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
        )
    return {run.name.partition(" ")[0]: run.parameters["execution"]["workers"] for run in parts}


def test_the_pipeline_runs_once_and_then_only_what_a_change_asks_for(tmp_path, tiny_settings):
    state = pipeline(tiny_settings, str(tmp_path), Execution(workers=3), return_state=True)
    assert workers_by_part(state.state_details.flow_run_id) == {"prepare": 3, "explore": 3, "train": 3}
    summary = pipeline_summary(tmp_path, state.result())
    assert summary["stages"] == dict.fromkeys(STAGES, "ran")
    assert summary["skipped"] == 0
    assert 0 <= summary["metrics"]["video"]["auc"] <= 1
    assert {"model.keras", "model.json", "model_card.md", "model_architecture.png"} <= {
        path.name for path in Path(summary["model"]).iterdir()
    }
    page = Path(summary["report"]).read_text("utf-8")
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    for link in re.findall(r'href="([^"#][^"]*)"', page):
        assert (Path(summary["report"]).parent / link).is_file()

    again = pipeline_summary(tmp_path, pipeline(tiny_settings, str(tmp_path)))
    assert again["stages"] == dict.fromkeys(STAGES, "cached")

    # Without a flow the same is found, and nothing where a file is not as it was left.
    workspace, report = Workspace(tmp_path), Path(summary["report"])
    looked_up = unchanged(tiny_settings, workspace)
    assert looked_up
    assert pipeline_summary(tmp_path, looked_up) | {"record": again["record"]} == again
    assert len(read_records(workspace)) == 3
    report.write_text("altered", "utf-8")
    assert unchanged(tiny_settings, workspace) is None
    report.write_text(page, "utf-8")
    assert unchanged(changed(tiny_settings, seed=1), workspace) is None

    other = changed(tiny_settings, train=tiny_settings.train.model_dump() | {"learning_rate": 0.002})
    planned = actions(plan(other, Workspace(tmp_path)))
    expected = dict.fromkeys(STAGES, "cached") | dict.fromkeys(
        ["train", "calibrate", "evaluate", "reference", "bundle", "explain", "report"], "run"
    )
    assert planned == expected
    retrained = pipeline_summary(tmp_path, pipeline(other, str(tmp_path)))["stages"]
    assert [name for name, did in retrained.items() if did == "ran"] == [
        "train",
        "calibrate",
        "evaluate",
        "reference",
        "bundle",
        "explain",
        "report",
    ]


def test_one_changed_video_is_extracted_alone(tmp_path, tiny_settings):
    videos = tmp_path / "videos"
    write_sample(videos, SampleSettings(sources=3, frames=8, size=64), seed=1)
    settings = changed(tiny_settings, datasets=[{"uri": str(videos)}])
    prepare(settings, str(tmp_path / "workspace"))
    (videos / "real" / "source000.mp4").write_bytes((videos / "real" / "source001.mp4").read_bytes()[:-1])
    summary = prepare_summary(tmp_path, prepare(settings, str(tmp_path / "workspace")))
    assert summary["stages"] == {"download": "ran", "extract": "partial", "manifest": "ran", "split": "ran"}


def test_broken_videos_keep_their_rows_and_one_class_is_explored(tmp_path, tiny_settings):
    videos = tmp_path / "videos"
    write_sample(videos, SampleSettings(sources=3, frames=8, size=64), seed=1)
    for path in (videos / "fake").iterdir():
        path.unlink()
    (videos / "real" / "text.mp4").write_text("this is no video")
    (videos / "real" / "empty.mp4").touch()
    settings = changed(tiny_settings, datasets=[{"uri": str(videos)}])
    with pytest.raises(TooManySkippedError, match="2 of 5 videos are skipped"):
        explore(settings, str(tmp_path / "w"))
    kept = list((tmp_path / "w" / "extract").iterdir())
    allowed = Execution(max_skipped="2")
    summary = explore_summary(tmp_path / "w", explore(settings, str(tmp_path / "w"), allowed))
    assert list((tmp_path / "w" / "extract").iterdir()) == kept
    rows = pd.read_parquet(summary["manifest"]).set_index("path")
    assert summary["skipped"] == 2
    assert rows.loc["real/text.mp4", "status"] == rows.loc["real/empty.mp4", "status"] == "unreadable"
    assert rows.loc["real/text.mp4", "reason"]
    assert "real/text.mp4" in Path(summary["report"]).read_text("utf-8")
    assert json.loads(json.dumps(summary))

    with pytest.raises(DataSetError, match="no readable fake video"):
        pipeline(settings, str(tmp_path / "w"))


def test_a_method_that_no_video_has_is_said_before_anything_is_extracted(tmp_path, tiny_settings):
    held_out = {"protocol": "cross-manipulation", "held_out": "lipsync"}
    with pytest.raises(SplitError, match="got lipsync, the methods are: "):
        prepare(changed(tiny_settings, split=held_out), str(tmp_path))
    assert not (tmp_path / "extract").exists()


def test_a_run_opens_no_file_of_the_data_and_of_its_frames_more_than_once(tmp_path, tiny_settings):
    write_sample(tmp_path / "data", SampleSettings(sources=6, frames=8, size=64), seed=0)
    settings = changed(tiny_settings, datasets=[{"uri": str(tmp_path / "data")}])
    opened: Counter[str] | None = None

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if opened is not None and event == "open":
            opened[str(arguments[0])] += 1

    sys.addaudithook(count)  # which nothing can take away again
    for joined in (1, 0):  # the manifest reads once what is told of the frames
        opened = Counter()
        prepare(settings, str(tmp_path / "w"))
        videos = {name: number for name, number in opened.items() if name.endswith(".mp4")}
        assert len(videos) == 12
        assert set(videos.values()) == {1}  # frames are read in processes of their own
        frames = {name: number for name, number in opened.items() if "/w/extract/" in name}
        assert len(frames) == 36  # two frames and what is told of them
        assert {name: 1 + joined * name.endswith(".json") for name in frames} == frames
    opened = None


@pytest.mark.slow
def test_a_whole_run_that_shares_its_training_out_judges_as_one_that_does_not(tmp_path, tiny_settings):
    shared = changed(tiny_settings, train=tiny_settings.train.model_dump() | {"distribute": "mirrored"})
    scores = [
        pd.read_parquet(
            pipeline(settings, str(tmp_path)).trained.evaluation.folder(Workspace(tmp_path))
            / "videos.parquet"
        ).set_index("video_id")["probability"]
        for settings in (tiny_settings, shared)
    ]
    pd.testing.assert_series_equal(scores[1], scores[0], rtol=1e-3)
