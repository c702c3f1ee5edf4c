import re
import shutil
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flows.cli import app
from fourier_model.faces import Box, Face
from fourier_model.spectrum import RINGS
from storage.images import write_image
from tasks.clip import ExtractionSettings
from tasks.clip_evidence import NoEvidence, gather_clip
from tasks.detect import Detector
from tasks.evidence import EvidenceError, evidence_file, write_report
from tasks.judgement_files import OutputError
from tasks.spectra import video_profiles
from tasks.spectral_bands import FRAMES, read_bands, write_bands
from tasks.tables import read_split, usable_videos
from tests.unit.conftest import read_here, write_clip
from tests.unit.judgement.conftest import SIZE, picture, violations

HOSTILE = "<img src=x onerror=alert(1)> & \"'.mp4"
FINE = {"crf": "1", "preset": "ultrafast"}
BOXES = (Box(2, 8, 24, 24), Box(38, 8, 20, 20))


def noisy(amplitude, seed):
    rng = np.random.default_rng(seed)
    return lambda index: picture(rng, amplitude * (1 + index / 40), (SIZE, SIZE + 16))


def usable(world):
    videos, frames = read_split(world.workspace, world.artifacts["split"])
    videos = usable_videos(videos)
    return videos[videos["split"].notna()], frames


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A real clip, a fake one with markup for a name, one with a face in each half of it, a fake image, and a file that is no video."""
    folder = tmp_path_factory.mktemp("clips")
    size = (SIZE + 16, SIZE)
    for seed, (name, amplitude) in enumerate([("real.mp4", 0), (HOSTILE, 5), ("two.mp4", 5)]):
        write_clip(folder / name, 20, size=size, options=FINE, picture=noisy(amplitude, seed))
    write_image(folder / "still.png", noisy(5, 9)(0))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """The folder of a detector that carries the bands of its training along."""
    folder = tmp_path_factory.mktemp("detector") / "model"
    shutil.copytree(world.folder("bundle"), folder)
    write_bands(folder, world.workspace, *usable(world))
    return folder


@pytest.fixture(scope="module")
def detector(folder):
    return Detector.load(folder)


@pytest.fixture(scope="module")
def face_detector(folder):
    """One that looks at faces; there is one in each half of every frame."""
    detector = Detector.load(folder)
    detector.settings = ExtractionSettings(per_video=6, crop="face", format="png", crop_margin=0)
    with pytest.MonkeyPatch.context() as patch:
        read_here(patch)
        patch.setattr("tasks.clip.detect_faces", lambda _: [Face(box, 0.99) for box in BOXES])
        yield detector


@pytest.fixture(scope="module")
def judged(detector, clips):
    return [detector.judge(clips / name) for name in ("real.mp4", HOSTILE, "still.png", "broken.mp4")]


@pytest.fixture(scope="module")
def page(tmp_path_factory, detector, judged):
    path = tmp_path_factory.mktemp("page") / "evidence.html"
    write_report(path, detector, judged)
    return path


@pytest.fixture(scope="module")
def page_of_faces(tmp_path_factory, face_detector, clips):
    path = tmp_path_factory.mktemp("page") / "faces.html"
    write_report(path, face_detector, [face_detector.judge(clips / "two.mp4")])
    return path


class Reader(HTMLParser):
    """The rows of a page's tables, its addresses, and the descriptions of its pictures."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.addresses, self.descriptions = [], [], []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self._cell = tag == "td"
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        if tag == "img":
            self.descriptions.append(attributes["alt"])
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]

    def handle_data(self, data):
        if self._cell and self.rows:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self._cell &= tag != "td"


def test_the_page_shows_the_score_of_every_frame_that_was_judged(page, judged):
    shown = [row for row in Reader(page.read_text("utf-8")).rows if row and re.fullmatch(r"\d+", row[0])]
    expected = [
        [str(frame.frame_index), "" if frame.timestamp_s is None else f"{frame.timestamp_s:.3f}", f"{frame.probability_fake:.4f}"]
        for one in judged
        for face in one.faces
        for frame in face.frames
    ]  # fmt: skip
    assert len(expected) == 6 + 6 + 1
    assert shown == expected


def test_the_page_needs_nothing_outside_of_itself_and_every_picture_is_described(page):
    read = Reader(page.read_text("utf-8"))
    assert {address.partition(":")[0] for address in read.addresses if not address.startswith("#clip-")} == {
        "data"
    }
    assert all(len(words) > 20 for words in read.descriptions)


def test_a_name_that_is_markup_is_text(page):
    text = page.read_text("utf-8")
    assert "<img src=x" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 2


def test_the_page_allows_no_script_and_nothing_from_elsewhere(page):
    text = page.read_text("utf-8")
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in unescape(policy).split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules.get("script-src", "'none'") == "'none'"
    assert rules["img-src"] == "data:"
    assert "<script" not in text


def test_a_path_that_failed_is_on_the_page_with_its_reason(page, judged):
    text = page.read_text("utf-8")
    assert judged[-1].reason.split(" (")[0] in text
    assert text.count("<article") == 4


def test_the_peaks_are_the_frames_that_speak_most_for_the_verdict(detector, judged):
    for one, towards in zip(judged[:2], (min, max), strict=True):
        (found,) = gather_clip(one, detector, None)["faces"]
        most = towards(frame.probability_fake for frame in one.faces[0].frames)
        assert float(detector.scale.probabilities(found["rings"]["logit"])) == pytest.approx(most, abs=1e-6)
        assert f"P(fake) {most:.2f}" in found["frames"]["words"].split(";")[0]


def test_faces_are_explained_by_their_own_pictures(face_detector, clips):
    judged = face_detector.judge(clips / "two.mp4")
    found = gather_clip(judged, face_detector, None)
    assert len({face.probability_fake for face in judged.faces}) == 2
    for face, own in zip(judged.faces, found["faces"], strict=True):
        most = max(frame.probability_fake for frame in face.frames)
        logit = own["rings"]["logit"]
        assert float(face_detector.scale.probabilities(logit)) == pytest.approx(most, abs=1e-6)
    assert found["place"].startswith("data:image/jpeg")


def test_a_trace_of_the_highest_frequencies_is_found_there(detector, judged):
    (found,) = gather_clip(judged[1], detector, None)["faces"]
    ring = found["rings"]["strongest"]
    assert (ring["high"], ring["change"] < 0) == (pytest.approx(np.sqrt(0.5)), True)


def test_a_file_that_is_another_one_by_now_has_a_verdict_and_no_evidence(detector, clips, tmp_path):
    path = tmp_path / "clip.mp4"
    shutil.copyfile(clips / "real.mp4", path)
    judged = detector.judge(path)
    shutil.copyfile(clips / HOSTILE, path)
    with pytest.raises(NoEvidence, match="no longer the one that was judged"):
        gather_clip(judged, detector, None)
    path.unlink()
    write_report(tmp_path / "x.html", detector, [judged], {str(path): "upload.mp4"})
    text = (tmp_path / "x.html").read_text("utf-8")
    assert "There is no evidence: the file cannot be opened any more" in text
    assert str(tmp_path) not in text
    assert "upload.mp4" in text


def test_frames_of_another_call_are_not_taken_for_those_that_were_judged(folder, detector, clips):
    judged = Detector.load(folder, frames=4).judge(clips / "real.mp4")
    with pytest.raises(NoEvidence, match="another number of frames"):
        gather_clip(judged, detector, None)


def test_nothing_is_left_behind_while_a_page_is_made_or_when_that_fails(detector, judged, tmp_path):
    """Nothing there meanwhile is what a kill leaves behind."""
    old = tmp_path / "old.html"
    old.write_text("old")
    with pytest.raises(KeyboardInterrupt), evidence_file(old, detector) as write:
        write(judged[0])
        assert list(tmp_path.iterdir()) == [old]
        raise KeyboardInterrupt
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_page_that_cannot_be_made_is_refused_before_any_work(detector, world, tmp_path):
    for path, message in (
        (tmp_path / "x.pdf", "ends in .html"),
        (tmp_path / "no" / "x.html", "make it first"),
    ):
        with pytest.raises(OutputError, match=message), evidence_file(path, detector):
            pass
    shutil.copytree(world.folder("bundle"), tmp_path / "model")
    without = Detector.load(tmp_path / "model")
    (tmp_path / "model" / "model.keras").unlink()
    with (
        pytest.raises(EvidenceError, match=r"needs a detector's folder with model\.keras"),
        evidence_file(tmp_path / "x.html", without),
    ):
        pass


def test_the_bands_are_quantiles_of_the_training_videos_and_the_page_has_them(world, folder, page):
    bands = read_bands(folder)
    videos, frames = usable(world)
    for label, name in enumerate(("real", "fake")):
        own = videos[(videos["split"] == "train") & (videos["label"] == label)]
        profiles = video_profiles(world.workspace, own, frames, RINGS, FRAMES)
        for level, share in (("low", 5), ("median", 50), ("high", 95)):
            expected = [
                np.percentile(ring, share) if len(ring) else np.nan for ring in map(finite, profiles.T)
            ]
            np.testing.assert_allclose(bands[name][level], expected)
        assert (bands[name]["split"], bands[name]["videos"]) == ("train", 6)
    assert '6 <span class="fake">fake</span> training videos' in page.read_text("utf-8")


def finite(values):
    return values[~np.isnan(values)]


def test_fakes_that_the_training_makes_anew_are_those_of_the_validation_and_a_class_that_is_nowhere_has_no_band(
    world, tmp_path
):
    videos, frames = usable(world)
    write_bands(
        tmp_path, world.workspace, videos[(videos["split"] != "train") | (videos["label"] == 0)], frames
    )
    assert {name: band["split"] for name, band in read_bands(tmp_path).items()} == {
        "real": "train",
        "fake": "validation",
    }
    write_bands(tmp_path, world.workspace, videos[videos["label"] == 1], frames)
    assert list(read_bands(tmp_path)) == ["fake"]
    write_bands(tmp_path, world.workspace, videos.head(0), frames)
    assert read_bands(tmp_path) == {}
    assert "power_db" not in pd.read_parquet(tmp_path / "spectra.parquet")


def test_detect_writes_the_page_and_a_detector_without_bands_says_why_they_are_missing(
    world, clips, tmp_path
):
    path = tmp_path / "x.html"
    inputs = [str(clips / "still.png"), "--model", str(world.folder("bundle")), "--report", str(path)]
    result = CliRunner().invoke(app, ["detect", *inputs])
    assert result.exit_code == 0, result.output
    text = path.read_text("utf-8")
    assert "The bands of the training videos are missing" in text
    assert text.count("<article") == 1


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1200), ("dark", 390)], ids=["light, wide", "dark, narrow"]
)
@pytest.mark.parametrize("which", ["page", "page_of_faces"])
def test_everyone_can_use_the_page_which_asks_for_nothing_and_says_nothing(
    new_page, request, which, scheme, width
):
    path = request.getfixturevalue(which)
    tab = new_page(offline=True, color_scheme=scheme, viewport={"width": width, "height": 900})
    tab.goto(path.as_uri(), wait_until="load")
    assert [address for address in tab.requests if not address.startswith("data:")] == [path.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    # The script is evaluated by the browser's debugger, which the page's policy does not bind.
    assert violations(tab) == []
    assert tab.complaints == []
