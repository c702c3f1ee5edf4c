import json

import numpy as np
import pandas as pd
import pytest

from tasks.explain import EXPLAIN, ExplainSettings, surest_videos
from tasks.report import REPORT
from tasks.stage import Stage

SETTINGS = ExplainSettings(videos=2, rings=8, heat_map_frames=4, heat_map_steps=4)


def explain(world, evaluation):
    return world.run(
        EXPLAIN, training=world.artifacts["train"], evaluation=evaluation, settings=SETTINGS, seed=0
    )


@pytest.fixture(scope="module")
def explained(world):
    return explain(world, world.artifacts["evaluate"])


@pytest.fixture(scope="module")
def folder(world, explained):
    return explained.folder(world.workspace)


@pytest.fixture(scope="module")
def record(folder):
    return json.loads((folder / "explanation.json").read_text())


def test_evidence_is_of_the_mistake_and_of_as_many_right_verdicts_as_asked_for(record):
    kinds = [video["kind"] for video in record["videos"]]
    assert kinds == ["mistake", "right_fake", "right_fake", "right_real", "right_real"]
    assert (record["videos"][0]["truth"], record["videos"][0]["verdict"]) == ("real", "fake")
    assert record["videos"][0]["path"].startswith("<script>")


def test_a_detector_of_checkerboards_is_explained_by_the_highest_frequencies(folder, record):
    for video in record["videos"][:3]:
        assert video["strongest_ring"]["to_cycles_per_pixel"] == pytest.approx(np.sqrt(0.5))
        assert video["strongest_ring"]["removed"] < 0
    strongest = record["heat_map"]["strongest"]
    assert strongest["cycles_per_pixel"] == pytest.approx(np.sqrt(0.5))
    assert record["heat_map"]["frames"] == {"real": 2, "fake": 2}
    spectra = pd.read_parquet(folder / "gradient_spectra.parquet").dropna()
    highest = spectra.loc[spectra.groupby("video_id")["power_db"].idxmax()]
    assert (highest["cycles_per_pixel"] > 0.6).all()


def test_the_power_of_real_frames_takes_a_fake_its_trace_and_leaves_a_real_one_alone(folder, record):
    rings = pd.read_parquet(folder / "band_occlusion.parquet")
    last = rings[rings["ring"] == 7].set_index("video_id")
    kinds = {video["video_id"]: video["kind"] for video in record["videos"]}
    swapped = last["swapped"].groupby(kinds).mean()
    assert swapped["right_fake"] < 0.8 * last["removed"].groupby(kinds).mean()["right_fake"] < 0
    assert abs(swapped["right_real"]) < 0.2 * abs(swapped["right_fake"])


def test_the_frames_at_the_peaks_are_those_that_speak_most_for_the_verdict(world, record):
    frames = world.table("evaluate", "frames.parquet")
    for video in record["videos"]:
        own = frames[frames["video_id"] == video["video_id"]]
        most = own["logit"].idxmax() if video["verdict"] == "fake" else own["logit"].idxmin()
        assert video["frames"][0]["path"] == own.loc[most, "path"]
        assert video["logit_of_frame"] == pytest.approx(own.loc[most, "logit"], abs=1e-4)


def test_every_figure_is_there_with_its_caption(folder, record):
    captions = json.loads((folder / "figures.json").read_text())
    named = [name for video in record["videos"] for name in video["figures"]]
    assert sorted(captions) == sorted([*named, "heat_map.png"])
    for name, caption in captions.items():
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert caption


def test_equal_inputs_give_equal_evidence(world, explained):
    assert explain(world, world.artifacts["evaluate"]).files == explained.files


def test_a_test_of_one_class_has_evidence_without_a_swap(world):
    def fakes_alone(output, workspace):
        for name in ("videos", "frames"):
            table = world.table("evaluate", f"{name}.parquet")
            table[table["label"] == 1].to_parquet(output / f"{name}.parquet")
        (output / "metrics.json").write_bytes((world.folder("evaluate") / "metrics.json").read_bytes())

    found = explain(world, world.run(Stage("fakes", 1, fakes_alone))).folder(world.workspace)
    assert pd.read_parquet(found / "band_occlusion.parquet")["swapped"].isna().all()
    assert pd.read_parquet(found / "heat_map.parquet")["change_real"].isna().all()
    record = json.loads((found / "explanation.json").read_text())
    assert {video["kind"] for video in record["videos"]} == {"right_fake"}


def test_the_surest_come_first_and_names_decide_between_equals():
    videos = pd.DataFrame(
        {
            "video_id": list("abcdef"),
            "label": [0, 0, 1, 1, 1, 1],
            "verdict": ["fake", "fake", "fake", "fake", "fake", "real"],
            "logit": [1.0, 3.0, 2.0, 2.0, 4.0, 0.9],
        }
    )
    chosen = surest_videos(videos, 1.0, 2)
    assert list(zip(chosen["kind"], chosen["video_id"], strict=True)) == [
        ("mistake", "b"),
        ("mistake", "f"),
        ("right_fake", "e"),
        ("right_fake", "c"),
    ]
    assert list(chosen["rank"]) == [1, 2, 1, 2]


def test_the_report_shows_the_evidence_with_names_as_words(world, explained):
    made = world.artifacts
    inputs = {name: made[name] for name in ("split", "audit")}
    report = world.run(
        REPORT,
        **inputs,
        exploration=made["explore"],
        evaluation=made["evaluate"],
        explanation=explained,
        configuration={},
    )
    page = (report.folder(world.workspace) / "report.html").read_text("utf-8")
    assert '<h2 id="evidence">Why: evidence behind verdicts</h2>' in page
    assert "<script>alert" not in page
    assert page.count("data:image/jpeg") >= 5
    assert "moves the logit most" in page
