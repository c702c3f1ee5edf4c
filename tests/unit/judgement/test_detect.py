import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.special import expit, logit
from typer.testing import CliRunner

from flows.cli import app
from fourier_model.clip_interval import clip_interval
from fourier_model.faces import Box, Face
from fourier_model.pooling import PoolingSettings
from fourier_model.settings import BackboneSettings, ModelSettings
from storage.fingerprint import fingerprint
from storage.images import write_image
from storage.video import VideoFile
from tasks.bundle import sha256
from tasks.clip import ExtractionSettings
from tasks.detect import Detector, expand, extraction_settings
from tasks.extract import EXTRACT
from tasks.judgement import Judgement
from tasks.judgement_files import OutputError, judgement_file
from tasks.model import open_model
from tasks.transfer import TRANSFER
from tasks.weighing import Familiarity, Scale
from tests.unit.conftest import read_here, write_clip
from tests.unit.judgement.conftest import SETTINGS, SIZE, picture, video_row

FINE = {"crf": "1", "preset": "ultrafast"}


def noisy(amplitude, seed=0):
    rng = np.random.default_rng(seed)
    return lambda index: picture(rng, amplitude * (1 + index / 40), (SIZE, SIZE + 16))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A real and a fake clip, a fake image and a file that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    for seed, (name, amplitude) in enumerate([("real.mp4", 0), ("sub/fake.mp4", 5)]):
        (folder / name).parent.mkdir(exist_ok=True)
        write_clip(folder / name, 20, size=(SIZE + 16, SIZE), options=FINE, picture=noisy(amplitude, seed))
    write_image(folder / "sub" / "still.png", noisy(5, 9)(0))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def folder(world):
    return world.folder("bundle")


@pytest.fixture(scope="module")
def detector(folder):
    return Detector.load(folder)


@pytest.fixture
def two_faces(monkeypatch):
    """Faces wherever they are looked for: one in each half of the frame."""
    boxes = [Box(2, 8, 24, 24), Box(38, 8, 20, 20)]
    read_here(monkeypatch)
    monkeypatch.setattr("tasks.clip.detect_faces", lambda _: [Face(box, 0.99) for box in boxes])


@pytest.mark.parametrize("crop", ["none", "face"])
def test_detection_scores_a_clip_as_the_evaluation_of_a_data_set_does(
    world, new_world, clips, monkeypatch, crop
):
    faces = [Face(Box(2, 8, 24, 24), 0.99)]
    read_here(monkeypatch)
    monkeypatch.setattr("tasks.clip.detect_faces", lambda _: faces)
    settings = ExtractionSettings(per_video=6, crop=crop)
    model = open_model(world.folder("bundle"))
    videos, frames = [], []
    for name in ("real.mp4", "sub/fake.mp4"):
        digest = fingerprint(clips / name)
        video = VideoFile(root=str(clips), files=(name,), kind="video", digest=digest)
        extracted = EXTRACT.execute(new_world.workspace, {"video": video, "settings": settings})
        row = {
            "video_id": name,
            "path": name,
            "label": int("fake" in name),
            "group_id": name,
            "split": "test",
        }
        videos.append(video_row(**row))
        told = json.loads((extracted.folder(new_world.workspace) / "extraction.json").read_text())
        stored = extracted.folder(new_world.workspace).relative_to(new_world.workspace.root)
        frames += [
            frame | {"video_id": name, "path": str(stored / frame["path"])} for frame in told["frames"]
        ]
    split = new_world.store_split(videos, frames)
    judged = new_world.run(TRANSFER, split=split, model=model, settings=SETTINGS, seed=0)
    expected = pd.read_parquet(judged.folder(new_world.workspace) / "videos.parquet").set_index("video_id")
    detector = Detector.load(world.folder("bundle"))
    detector.settings = settings
    for name in expected.index:
        found = detector.judge(clips / name)
        assert found.frames_scored == 6
        assert found.probability_fake == pytest.approx(expected.loc[name, "probability"], abs=1e-9)
        assert found.verdict == expected.loc[name, "verdict"]


def test_a_clip_is_judged_the_same_alone_and_among_others(detector, folder, clips):
    together = list(detector.judge_all([clips]))
    assert [os.path.relpath(judged.path, clips) for judged in together] == [
        "broken.mp4",
        "real.mp4",
        "sub/fake.mp4",
        "sub/still.png",
    ]
    alone = Detector.load(folder)
    assert [alone.judge(judged.path) for judged in reversed(together)] == together[::-1]
    assert [judged.status for judged in together] == ["failed", "scored", "scored", "scored"]
    assert [judged.verdict for judged in together[1:]] == ["real", "fake", "fake"]


def test_a_file_is_named_by_the_digest_that_others_compute(detector, clips):
    path = clips / "real.mp4"
    assert detector.judge(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_faces_are_judged_apart_and_the_fake_one_is_not_hidden_by_a_larger_real_one(
    folder, tmp_path, two_faces
):
    def half_fake(index):
        return np.concatenate([noisy(0, index)(0)[:, :32], noisy(6, index)(0)[:, :32]], axis=1)

    path = write_clip(tmp_path / "two.mp4", 20, size=(64, SIZE), options=FINE, picture=half_fake)
    detector = Detector.load(folder)
    detector.settings = ExtractionSettings(per_video=6, crop="face", format="png", crop_margin=0)
    judged = detector.judge(path)
    left, right = judged.faces
    assert (left.position, right.position) == ("face 1 of 2, left", "face 2 of 2, right")
    assert left.probability_fake < right.probability_fake == judged.probability_fake
    assert (left.verdict, right.verdict, judged.verdict) == ("real", "fake", "fake")
    assert {tuple(frame.face_box.values()) for frame in right.frames} == {(38, 8, 20, 20)}
    assert any(warning.startswith("face 2 of 2, right: tiny face: 20 pixels") for warning in judged.warnings)


def test_a_second_face_that_is_seen_once_is_taken_for_none(folder, clips, monkeypatch):
    looks = iter(range(100))

    def once(_):
        faces = [Face(Box(2, 8, 24, 24), 0.99)]
        return [*faces, Face(Box(38, 8, 20, 20), 0.99)] if next(looks) == 3 else faces

    read_here(monkeypatch)
    monkeypatch.setattr("tasks.clip.detect_faces", once)
    detector = Detector.load(folder)
    detector.settings = ExtractionSettings(per_video=6, crop="face")
    assert [face.position for face in detector.judge(clips / "real.mp4").faces] == ["face 1 of 1, left"]


def test_no_face_is_an_abstention_with_its_reason_and_no_probability(folder, clips):
    detector = Detector.load(folder)
    detector.settings = ExtractionSettings(per_video=6, crop="face")
    judged = detector.judge(clips / "real.mp4")
    assert (judged.status, judged.probability_fake, judged.verdict) == ("abstained", None, None)
    assert judged.reason == "no face in the 6 frames that were looked at"


def test_a_file_that_grows_while_it_is_read_gets_no_verdict(detector, tmp_path, monkeypatch):
    from tasks import detect

    path = write_clip(tmp_path / "growing.mp4", 8)
    read = detect.read_clip

    def and_grow(path, *limits):
        with path.open("ab") as file:
            file.write(b"more")
        return read(path, *limits)

    monkeypatch.setattr(detect, "read_clip", and_grow)
    judged = detector.judge(path)
    assert (judged.status, judged.verdict) == ("failed", None)
    assert judged.reason.startswith("changed while it was read")


def test_one_image_has_no_interval_and_a_warning(detector, clips):
    judged = detector.judge(clips / "sub" / "still.png")
    assert (judged.interval, judged.frames_scored) == (None, 1)
    assert judged.warnings[0] == "too few frames: 1 scored, fewer than 6"


def test_ready_made_crops_in_training_make_detection_look_for_faces():
    values = {"frames": {"crop": "none", "per_video": 8, "size": 99}, "dataset": {"content": "scenes"}}
    crops, scenes = [{"content": "faces"}, {"content": None}], [{"content": None}]
    assert extraction_settings(values | {"datasets": crops}).crop == "face"
    assert extraction_settings(values | {"datasets": scenes}).crop == "none"
    assert extraction_settings(values | {"datasets": scenes}, frames=3).per_video == 3
    values["dataset"]["content"] = "faces"
    assert extraction_settings(values | {"datasets": scenes}).crop == "face"


def test_folders_are_walked_in_order_without_hidden_files_and_links_that_leave(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for path in (inside / "b" / "10.mp4", inside / "b" / "9.mp4", inside / "a.jpg", inside / ".h.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    outside.mkdir()
    (outside / "secret.mp4").touch()
    (inside / "link.mp4").symlink_to(outside / "secret.mp4")
    (inside / "notes.txt").touch()
    found = [path.relative_to(tmp_path).as_posix() for path in expand([inside, tmp_path / "gone.mp4"])]
    assert found == ["inside/a.jpg", "inside/b/9.mp4", "inside/b/10.mp4", "gone.mp4"]


def test_the_interval_holds_the_score_and_vanishes_where_all_frames_agree():
    logits = np.random.default_rng(0).normal(1, 2, 32)
    for rule in ("mean_logit", "mean", "median", "top_k"):
        low, high = clip_interval(logits, PoolingSettings(pooling=rule))
        assert low < high
        assert clip_interval(np.full(32, 0.7), PoolingSettings(pooling=rule)) == pytest.approx((0.7, 0.7))
    assert clip_interval([0.3], PoolingSettings()) is None


def test_the_interval_is_that_of_independent_groups_and_not_of_frames():
    # Eight runs of four equal frames: as many independent values as runs, so the width is that of a mean of eight.
    values = np.random.default_rng(1).normal(0, 1, 8)
    low, high = clip_interval(np.repeat(values, 4), PoolingSettings())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(8), rel=0.2)


@pytest.mark.parametrize(
    ("probability", "verdict"), [(0.2, "real"), (0.55, "uncertain"), (0.7, "uncertain"), (0.95, "fake")]
)
def test_verdicts_follow_the_threshold_and_the_band_around_it(probability, verdict):
    scale = Scale(2.0, 0.5, 0.6, margin=1.0, pooling=PoolingSettings())
    raw = 2.0 * (logit(probability) - 0.5)
    found, interval, said = scale.weigh([raw, raw])
    assert (found, said) == (pytest.approx(probability), verdict)
    assert interval == pytest.approx((probability, probability))
    low, high = expit([logit(0.6) - 1, logit(0.6) + 1])
    assert f"between {low:.3f} and {high:.3f}" in scale.why_uncertain


def test_the_alarm_of_unlike_clips_comes_from_the_validation_videos_alone(tmp_path):
    distances = np.arange(100.0)
    rows = {"split": ["validation"] * 100 + ["test"] * 100, "distance": np.r_[distances, distances + 1000]}
    pd.DataFrame(rows).to_parquet(tmp_path / "reference_videos.parquet")
    np.savez(tmp_path / "reference.npz", means=np.zeros((1, 2)), whitening=np.eye(2))
    known = Familiarity.load(tmp_path)
    assert known.level == 95  # the 96th of 100: one in 20 of the like is beyond
    far, near = np.full((5, 2), 96 / np.sqrt(2)), np.zeros((5, 2))
    assert known.measure(far) == (pytest.approx(96), True)
    assert known.measure(near) == (0, False)
    (tmp_path / "reference.npz").unlink()
    assert Familiarity.load(tmp_path).measure(far) == (None, None)


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet"])
def test_files_of_judgements_hold_what_was_judged(detector, clips, tmp_path, name):
    judged = list(detector.judge_all([clips]))
    with judgement_file(tmp_path / name) as write:
        for one in judged:
            write(one)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name == "a.csv":
        table = pd.read_csv(tmp_path / name)
        assert table["path"].tolist() == [one.path for one in judged]
        assert table["low"].tolist()[1:3] == [one.interval[0] for one in judged[1:3]]
        assert set(table["model"]) == {detector.model.digest}
        return
    read = (
        json.loads((tmp_path / name).read_text())
        if name == "a.json"
        else pq.read_table(tmp_path / name).to_pylist()
    )
    assert read == [one.model_dump(mode="json") for one in judged]


def test_a_file_of_judgements_is_whole_or_not_there(tmp_path):
    judged = Judgement(path="a", status="failed", model="m")
    for name in ("a.json", "a.csv", "a.parquet"):
        with pytest.raises(KeyboardInterrupt), judgement_file(tmp_path / name) as write:
            write(judged)
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    for name, message in [("a.txt", "ends in .json, .csv, .parquet"), ("no/a.csv", "there is no folder")]:
        with pytest.raises(OutputError, match=message), judgement_file(tmp_path / name):
            pass


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@a", "\ta"])
def test_a_file_name_is_no_formula_in_a_spreadsheet(tmp_path, name):
    with judgement_file(tmp_path / "a.csv") as write:
        write(Judgement(path=name, status="failed", model="m"))
    assert pd.read_csv(tmp_path / "a.csv")["path"].item() == "'" + name


def test_one_broken_file_stops_nothing_and_makes_the_exit_code_1(folder, clips, tmp_path):
    names = "\n".join(str(clips / name) for name in ("broken.mp4", "real.mp4"))
    call = [
        "detect",
        "-",
        str(clips / "sub"),
        "--model",
        str(folder),
        "--json",
        "-o",
        str(tmp_path / "a.csv"),
    ]
    done = CliRunner().invoke(app, call, input=names)
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [one["status"] for one in told] == ["failed", "scored", "scored", "scored"]
    assert len(pd.read_csv(tmp_path / "a.csv")) == 4
    done = CliRunner().invoke(app, ["detect", str(clips / "real.mp4"), "--model", str(folder)])
    assert done.exit_code == 0
    assert "P(fake)" in done.stdout


def test_an_exported_detector_judges_alike_without_tensorflow(world, clips, tmp_path):
    from fourier_model.detector import build_detector, save_detector
    from tasks.export import export

    exported, folder = tmp_path / "exported", tmp_path / "detector"
    folder.mkdir()
    compact = BackboneSettings(name="compact", weights="none")
    save_detector(
        build_detector(ModelSettings(frequency_branch=True), compact, 32, 0), folder / "model.keras"
    )
    record = world.json("bundle", "model.json")
    record["digests"]["model.keras"] = sha256(folder / "model.keras")
    (folder / "model.json").write_text(json.dumps(record))
    detector = Detector.load(folder)
    export(open_model(folder), exported, ["onnx"])
    code = (
        "import sys\nfrom tasks.detect import Detector\n"
        "judged = Detector.load(sys.argv[1], engine='onnx').judge(sys.argv[2])\n"
        "print(judged.model_dump_json())\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'loaded'"
    )
    call = [sys.executable, "-c", code, str(exported), str(clips / "sub" / "fake.mp4")]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    found, expected = Judgement.model_validate_json(done.stdout), detector.judge(clips / "sub" / "fake.mp4")
    assert found.probability_fake == pytest.approx(expected.probability_fake, abs=1e-5)
    assert (found.verdict, found.model == expected.model) == (expected.verdict, False)
    done = CliRunner().invoke(
        app, ["detect", str(clips / "real.mp4"), "--engine", "onnx", "--model", str(folder)]
    )
    assert done.exit_code == 2
    assert "export FOLDER --format onnx" in done.stderr


def test_a_folder_that_is_no_detector_is_bad_input(clips):
    done = CliRunner().invoke(app, ["detect", str(clips / "real.mp4"), "--model", str(clips)])
    assert done.exit_code == 2
    assert "is no detector" in done.stderr


def test_help_does_not_load_tensorflow():
    code = "import sys, flows.cli; assert not {'tensorflow', 'keras', 'prefect', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_memory_stays_flat_over_a_thousand_clips(folder, clips):
    import resource

    detector = Detector.load(folder)
    grown = []
    for number in range(1000):
        detector.judge(clips / ("real.mp4", "sub/fake.mp4", "broken.mp4")[number % 3])
        if number in (49, 999):
            grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert grown[1] - grown[0] < 32, f"{grown} MB"
