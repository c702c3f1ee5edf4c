import json

import av
import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tasks.sample
from fourier_model.spectrum import decibels, luma, power_spectrum, radial_profile
from storage.workspace import NoRoomError, Workspace
from tasks.sample import SAMPLE, SampleError, SampleSettings, write_sample

SMALL = SampleSettings(sources=3, frames=8, size=64, bits_per_pixel=2)
LEARNABLE = SampleSettings(sources=20, frames=16)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def description(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        return {
            "codec": (context.name, context.profile, context.pix_fmt, context.width, context.height),
            "rate": stream.average_rate,
            "frames": stream.frames,
            "duration": stream.duration,
            "metadata": (dict(container.metadata), dict(stream.metadata)),
        }


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "sample"
    write_sample(folder, SMALL, 5)
    return folder


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    """Labels, groups, decoded luma (clips, frames, size, size) and file sizes of twenty sources."""
    folder = tmp_path_factory.mktemp("learnable")
    write_sample(folder, LEARNABLE, 0)
    paths = sorted(folder.rglob("*.mp4"))
    labels = np.array([path.parent.name == "fake" for path in paths], int)
    groups = np.array([path.stem for path in paths])
    brightness = np.stack([luma(decode(path)[::2]) for path in paths])
    return labels, groups, brightness, np.array([path.stat().st_size for path in paths])


def test_the_default_set_has_forty_videos_of_twenty_sources_at_least():
    assert SampleSettings().sources >= 20


def test_every_source_has_a_real_and_a_fake_clip_of_one_name(small):
    names = {f"{label}/source{index:03d}.mp4" for label in ("real", "fake") for index in range(3)}
    assert contents(small).keys() == names | {"sample.json"}


def test_equal_seeds_give_equal_bytes(small, tmp_path):
    write_sample(tmp_path, SMALL, 5)
    assert contents(tmp_path) == contents(small)


def test_another_seed_gives_another_set(small, tmp_path):
    write_sample(tmp_path, SMALL, 6)
    other = contents(tmp_path)
    assert all(other[name] != content for name, content in contents(small).items())


def test_sources_do_not_depend_on_how_many_there_are(small, tmp_path):
    write_sample(tmp_path, SMALL.model_copy(update={"sources": 2}), 5)
    for path in tmp_path.rglob("*.mp4"):
        assert path.read_bytes() == (small / path.relative_to(tmp_path)).read_bytes()


def test_real_and_fake_of_a_source_are_described_alike(small):
    for real in sorted((small / "real").iterdir()):
        assert description(real) == description(small / "fake" / real.name)


def test_each_source_has_a_bitrate_of_its_own(small):
    sources = json.loads((small / "sample.json").read_text())["sources"]
    assert len({source["bitrate"] for source in sources}) == 3


def test_the_truth_names_the_seed_the_settings_and_where_each_fake_differs(small):
    truth = json.loads((small / "sample.json").read_text())
    assert truth["seed"] == 5
    assert SampleSettings.model_validate(truth["settings"]) == SMALL
    for source in truth["sources"]:
        real, fake = (
            decode(small / label / f"{source['name']}.mp4").astype(float) for label in ("real", "fake")
        )
        inside = np.zeros(real.shape[:3], bool)
        edge = source["region"]["edge"]
        for index, (x, y) in enumerate(source["region"]["path"]):
            inside[index, y : y + edge, x : x + edge] = True
        difference = np.abs(real - fake).mean(axis=-1)
        assert difference[inside].mean() > 1.5 * difference[~inside].mean()


def test_a_linear_classifier_finds_the_trace_in_spectra_of_sources_it_has_not_seen(learnable):
    labels, groups, brightness, _ = learnable
    profiles = decibels(radial_profile(power_spectrum(brightness, window=True), 36)).mean(axis=1)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    scores = cross_val_predict(
        classifier, profiles, labels, groups=groups, cv=GroupKFold(5), method="decision_function"
    )
    assert roc_auc_score(labels, scores) > 0.95


@pytest.mark.parametrize("fact", ["file size", "brightness", "contrast"])
def test_no_trivial_fact_tells_the_classes_apart(learnable, fact):
    labels, _, brightness, sizes = learnable
    column = {
        "file size": sizes,
        "brightness": brightness.mean(axis=(1, 2, 3)),
        "contrast": brightness.std(axis=(1, 2, 3)),
    }[fact]
    assert roc_auc_score(labels, column) == pytest.approx(0.5, abs=0.1)


def test_pairs_have_files_of_one_size(learnable):
    labels, groups, _, sizes = learnable
    order = np.argsort(groups, kind="stable")
    paired = sizes[order].reshape(-1, 2)
    assert np.mean(paired[:, 0] == paired[:, 1]) > 0.8
    assert labels[order].reshape(-1, 2).sum(axis=1).tolist() == [1] * LEARNABLE.sources


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SampleError, match=r"notes\.txt.*new folder"):
        write_sample(tmp_path, SMALL, 0)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    file = tmp_path / "sample"
    file.write_text("mine")
    for output in (file, file / "below"):
        with pytest.raises(SampleError, match=str(output)):
            write_sample(output, SMALL, 0)
    assert file.read_text() == "mine"


def test_a_set_that_cannot_be_finished_leaves_nothing(tmp_path, monkeypatch):
    def write_one_and_fail(path, *arguments):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tasks.sample, "write_clip", write_one_and_fail)
    with pytest.raises(NoRoomError, match="No space left"):
        write_sample(tmp_path, SMALL, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"size": 65}, {"sources": 0}, {"frames": 1}, {"fps": 0}, {"colour": "red"}]
)
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SampleSettings(**wrong)


def test_the_stage_publishes_the_same_set(small, tmp_path):
    workspace = Workspace(tmp_path).prepare()
    artifact = SAMPLE.execute(workspace, {"settings": SMALL, "seed": 5})
    assert contents(artifact.folder(workspace)) == contents(small)
    assert artifact.summary == {"sources": 3, "videos": 6, "seed": 5}
