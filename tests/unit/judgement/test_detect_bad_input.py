"""Files that nobody wants to judge, and detectors' folders that nobody should use: each has a status, and a reason that helps."""

import json
import os
import re
import shutil
import socket
import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli import app
from storage.isolation import ReadingLimits
from tasks import detect
from tasks.bundle import sha256
from tasks.detect import Detector
from tasks.model import ModelError
from tests.unit.judgement.conftest import SIZE, pack_detector, picture

EXACT = {"crf": "0", "preset": "ultrafast"}
GIGABYTE = 1 << 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pack_detector(tmp_path_factory.mktemp("detector") / "model")


@pytest.fixture(scope="module")
def detector(folder):
    return Detector.load(folder)


def frame(amplitude=5, size=(SIZE, SIZE + 16)):
    return picture(np.random.default_rng(0), amplitude, size)


def fake(make_clip, name="clip.mp4", frames=6, **settings):
    """A clip that the detector takes for fake, as its pixels are kept exactly."""
    image = frame()
    settings = {"size": (SIZE + 16, SIZE), "options": EXACT, "pixels": "yuv444p", "picture": lambda _: image} | settings  # fmt: skip
    return make_clip(name, frames, **settings)


def peak(work):
    """What `work` returns, and how many bytes of memory it took at its height."""
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = status("VmRSS")
    return work(), status("VmHWM") - before


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def sound_only(path, cover=False):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000)
        if cover:
            image = file.add_stream("mjpeg")
            image.width, image.height, image.pix_fmt = 64, 48, "yuvj420p"
            image.disposition = av.stream.Disposition.attached_pic
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 8000, 0
        file.mux(stream.encode(sound))
        file.mux(stream.encode())
        if cover:
            file.mux(image.encode(av.VideoFrame.from_ndarray(frame(0, (48, 64)))))
            file.mux(image.encode())


def no_frames(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.start_encoding()


def too_large(path):
    """Of a few kilobytes, and 101 million pixels a picture."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 10_100, 10_000, "gray"
        black = av.VideoFrame(10_100, 10_000, "gray")
        black.planes[0].update(bytes(black.planes[0].buffer_size))
        file.mux(stream.encode(black))
        file.mux(stream.encode())


def bomb(path):
    Image.new("1", (20_000, 20_000)).save(path)


def leave(path):
    """There is nothing."""


UNREADABLE = {
    "sound without a picture": ("clip.mp4", sound_only, "holds no video track that can be decoded"),
    "sound with a cover": ("clip.mp4", lambda path: sound_only(path, cover=True), "holds no video track"),
    "no frame": ("clip.mp4", no_frames, "holds no picture that can be decoded|holds no video track"),
    "text": ("clip.mp4", lambda path: path.write_text("no video\n" * 99), "cannot be read as a video"),
    "nothing": ("clip.mp4", lambda path: path.touch(), "is empty"),
    "an image of nothing": ("still.png", lambda path: path.touch(), "is no image of a known format"),
    "pictures too large": ("clip.mov", too_large, "has pictures of 10100 x 10000 pixels, more than 100,000,000"),
    "an image of a few bytes that unpacks to gigabytes": ("bomb.png", bomb, r"400000000 pixels"),
    "a folder without videos": ("folder", Path.mkdir, "is a folder in which no video"),
    "a folder called like a video": ("clip.mp4", Path.mkdir, "is a folder in which no video"),
    "a pipe that nobody writes to": ("pipe.mp4", os.mkfifo, "is no file"),
    "a pipe called like an image": ("pipe.png", os.mkfifo, "is no file"),
    "a link to a device that never ends": ("zero.mp4", lambda path: path.symlink_to("/dev/zero"), "is no file"),
    "a link to itself": ("link.mp4", lambda path: path.symlink_to(path.name), "cannot be opened"),
    "nothing there": ("gone.mp4", leave, r"cannot be opened \(No such file or directory\)"),
    "a name that is too long": ("x" * 300, leave, r"cannot be opened \(File name too long\)"),
    "names between null bytes": ("a.mp4\0b.mp4", leave, "is no path: names in a list stand one a line"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "make", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_judged_fails_with_a_reason(detector, tmp_path, name, make, reason):
    make(tmp_path / name)
    judged, taken = peak(lambda: detector.judge(tmp_path / name))
    assert (judged.status, judged.verdict, judged.probability_fake) == ("failed", None, None)
    assert re.search(reason, judged.reason), judged.reason
    assert "\n" not in judged.reason
    assert judged.path == str(tmp_path / name)
    assert taken < GIGABYTE / 2


def test_a_socket_called_like_a_video_is_no_file(detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("clip.mp4")
        assert detector.judge("clip.mp4").reason.startswith("is no file")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/clip.mp4", "rtsp://127.0.0.1/live"])
def test_an_address_is_told_from_a_file_and_not_called(detector, address):
    (judged,) = detector.judge_all([address])
    assert (judged.path, judged.status) == (address, "failed")
    assert judged.reason == "is an address and no file: download it, or use `detect --stream`"


def test_one_odd_name_in_a_folder_does_not_hide_the_others(detector, make_clip, tmp_path):
    fake(make_clip)
    shutil.copy(tmp_path / "clip.mp4", tmp_path / os.fsdecode(b"\xff.mp4"))
    judged = list(detector.judge_all([tmp_path]))
    assert [one.verdict for one in judged] == ["fake", "fake"]
    assert json.loads(judged[1].model_dump_json())["path"].endswith(r"\xff.mp4")


def test_one_frame_is_judged_without_an_interval_and_with_a_warning(detector, make_clip):
    judged = detector.judge(fake(make_clip, frames=1))
    assert (judged.verdict, judged.interval, judged.frames_scored) == ("fake", None, 1)
    assert judged.warnings == ("too few frames: 1 scored, fewer than 6",)


def test_a_variable_frame_rate_is_judged_with_the_times_of_its_frames(detector, make_clip):
    times = [0, 40, 90, 1000, 1200, 5000]
    judged = detector.judge(fake(make_clip, milliseconds=times))
    assert judged.verdict == "fake"
    assert [own.timestamp_s for own in judged.faces[0].frames] == pytest.approx([t / 1000 for t in times])


def mirrored(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options=EXACT)
        stream.width, stream.height, stream.pix_fmt = SIZE + 16, SIZE, "yuv444p"
        stream.set_display_rotation(0, hflip=True)
        for _ in range(6):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame()).reformat(format="yuv444p")))
        file.mux(stream.encode())
    return path


def test_turned_and_mirrored_clips_have_the_score_of_what_is_seen(detector, make_clip, tmp_path):
    upright = detector.judge(fake(make_clip))
    half = detector.judge(fake(make_clip, "half.mp4", rotation=180))
    quarter = detector.judge(fake(make_clip, "quarter.mp4", rotation=90))
    seen = [np.rot90(frame()) for _ in range(6)]
    stored = {"size": (SIZE, SIZE + 16), "picture": lambda index: np.ascontiguousarray(seen[index])}
    told = detector.judge(fake(make_clip, "stored.mp4", **stored))
    glass = detector.judge(mirrored(tmp_path / "glass.mp4"))
    assert (quarter.width, quarter.height) == (told.width, told.height) == (SIZE, SIZE + 16)
    assert quarter.probability_fake == pytest.approx(told.probability_fake, abs=0.02)
    for other in (half, glass):
        assert (other.width, other.height) == (upright.width, upright.height)
        assert other.probability_fake == pytest.approx(upright.probability_fake, abs=0.02)


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv422p10le", "yuv444p"])
def test_finer_colours_are_judged_like_the_usual_ones(detector, make_clip, pixels):
    usual = detector.judge(fake(make_clip, pixels="yuv420p"))
    judged = detector.judge(fake(make_clip, "fine.mp4", pixels=pixels))
    assert (judged.status, judged.warnings) == ("scored", ())
    assert judged.probability_fake == pytest.approx(usual.probability_fake, abs=0.02)


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_a_high_dynamic_range_is_judged_with_a_warning(detector, make_clip, transfer, name):
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc"
    judged = detector.judge(fake(make_clip, pixels="yuv420p10le", options=EXACT | {"x264-params": tags}))
    assert judged.status == "scored"
    assert judged.warnings[0].startswith(f"high dynamic range ({name}): its colours are not mapped")


@pytest.mark.parametrize("size", [(63, 49), (3, 2), (3000, 2)])
def test_odd_sizes_are_judged(detector, make_clip, size):
    flat = np.full((size[1], size[0], 3), 90, np.uint8)
    path = fake(make_clip, "clip.mkv", codec="ffv1", options={}, size=size, picture=lambda _: flat)
    judged = detector.judge(path)
    assert (judged.status, judged.width, judged.height, judged.verdict) == ("scored", *size, "real")


def test_a_picture_too_small_for_the_detector_is_a_failure_and_not_real(detector, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    judged = detector.judge(tmp_path / "dot.png")
    assert (judged.status, judged.verdict) == ("failed", None)
    assert judged.reason.startswith("the detector gives no number for its pictures: they are too small")


def test_8k_is_judged_in_bounded_memory(detector, make_clip, monkeypatch):
    grey = np.full((4320, 7680, 3), 90, np.uint8)
    settings = {"codec": "mjpeg", "pixels": "yuvj420p", "options": {}, "size": (7680, 4320)}
    path = fake(make_clip, "clip.mov", frames=2, picture=lambda _: grey, **settings)
    monkeypatch.setattr(detector, "limits", ReadingLimits(memory_limit_mb=1024))
    judged, taken = peak(lambda: detector.judge(path))
    assert (judged.status, judged.width, judged.height) == ("scored", 7680, 4320)
    assert taken < 1.5 * GIGABYTE


def test_an_animated_gif_is_judged_as_a_video(detector, make_clip):
    path = fake(make_clip, "clip.gif", 12, codec="gif", pixels="gray", rate=10, options={})
    judged = detector.judge(path)
    assert (judged.verdict, judged.codec, judged.frames_scored) == ("fake", "gif", 6)


def three_hours(path, source):
    """Ten seconds of a clip without B-frames over and over, packet by packet."""
    with av.open(str(source)) as short, av.open(str(path), "w") as file:
        stream = file.add_stream_from_template(short.streams.video[0])
        packets = [packet for packet in short.demux(video=0) if packet.size]
        contents = [(bytes(packet), packet.is_keyframe) for packet in packets]
        step, unit = packets[0].duration, packets[0].time_base
        for number in range(3 * 360 * len(packets)):
            content, is_key = contents[number % len(contents)]
            packet = av.Packet(content)
            packet.pts = packet.dts = number * step
            packet.duration, packet.time_base, packet.stream, packet.is_keyframe = step, unit, stream, is_key
            file.mux(packet)


def test_three_hours_are_judged_from_all_over_them_in_bounded_memory(
    detector, make_clip, tmp_path, monkeypatch
):
    monkeypatch.setattr(detector, "limits", ReadingLimits(memory_limit_mb=512))
    plain = {"x264-params": "bframes=0:scenecut=0:keyint=50"}
    source = fake(make_clip, frames=50, rate=5, group=50, options=EXACT | plain)
    three_hours(tmp_path / "long.mp4", source)
    judged, taken = peak(lambda: detector.judge(tmp_path / "long.mp4"))
    assert (judged.verdict, judged.duration_s) == ("fake", pytest.approx(3 * 3600))
    times = [own.timestamp_s for own in judged.faces[0].frames]
    assert times == pytest.approx([900 + 1800 * part for part in range(6)], abs=1)
    assert taken < GIGABYTE / 5


def truncate(path):
    os.truncate(path, 100)


def replace(path):
    content = path.read_bytes()
    path.unlink()
    path.with_suffix(".new").write_bytes(content)
    path.with_suffix(".new").rename(path)


@pytest.mark.parametrize("change", [truncate, replace, Path.unlink])
def test_a_file_that_changes_while_it_is_read_has_no_verdict(detector, make_clip, monkeypatch, change):
    path = fake(make_clip)
    read = detect.read_clip

    def and_change(path, *limits):
        change(path)
        return read(path, *limits)

    monkeypatch.setattr(detect, "read_clip", and_change)
    judged = detector.judge(path)
    assert (judged.status, judged.verdict) == ("failed", None)
    assert judged.reason == "changed while it was read: judge it again when it is complete"


def test_a_clip_for_which_the_memory_does_not_suffice_is_a_failure_and_no_crash(
    detector, make_clip, monkeypatch
):
    grey = np.full((9000, 11000, 3), 90, np.uint8)
    settings = {"codec": "mjpeg", "pixels": "yuvj420p", "options": {}, "size": (11000, 9000)}
    path = fake(make_clip, "clip.mov", frames=1, picture=lambda _: grey, **settings)
    monkeypatch.setattr(detector, "limits", ReadingLimits(memory_limit_mb=512))
    judged = detector.judge(path)
    assert judged.status == "failed"
    assert judged.reason.startswith("needs more than 512 MiB to be read")


def describe(folder, **values):
    """Write other values into model.json; None takes one away."""
    path = folder / "model.json"
    record = json.loads(path.read_text("utf-8")) | values
    path.write_text(json.dumps({name: value for name, value in record.items() if value is not None}), "utf-8")


def redigest(folder):
    """Make the record fit the files, as someone would who knows how."""
    describe(folder, digests={"model.keras": sha256(folder / "model.keras")})


def one_byte(folder):
    content = bytearray((folder / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.keras").write_bytes(content)


def with_code_inside(folder):
    import keras

    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Lambda(lambda x: x)(image))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.Model(image, keras.layers.Dense(1)(pooled)).save(folder / "model.keras")
    redigest(folder)


def no_network(folder):
    (folder / "model.keras").write_bytes(b"PK\3\4 no network")
    redigest(folder)


BAD_DETECTORS = {
    "its network changed": (one_byte, "model.keras is not the file that model.json describes"),
    "its network is gone": (lambda folder: (folder / "model.keras").unlink(), "model.keras is missing"),
    "its record is gone": (lambda folder: (folder / "model.json").unlink(), "model.json is missing"),
    "a network too many": (lambda folder: shutil.copy(folder / "model.keras", folder / "temporal.keras"), "temporal.keras is not the file"),
    "its record is cut off": (lambda folder: os.truncate(folder / "model.json", 40), "does not describe a detector"),
    "its record is a list": (lambda folder: (folder / "model.json").write_text("[]"), "does not describe a detector"),
    "an older release": (lambda folder: describe(folder, format_version=1), "has format 1, this release reads"),
    "a newer release": (lambda folder: describe(folder, format_version=99), "has format 99, this release reads"),
    "no digests": (lambda folder: describe(folder, digests=None), "does not say which files belong to it"),
    "no threshold": (lambda folder: describe(folder, threshold=None), "is damaged.*threshold"),
    "a threshold that makes all clips real": (lambda folder: describe(folder, threshold=2), "is damaged.*threshold"),
    "no calibration": (lambda folder: describe(folder, calibration=None), "is damaged.*calibration"),
    "a calibration that turns verdicts round": (lambda folder: describe(folder, calibration={"temperature": -1, "bias": 0, "abstention": {"margin": None}}), "is damaged.*temperature"),
    "a calibration of no number": (lambda folder: describe(folder, calibration={"temperature": 1, "bias": float("nan"), "abstention": {"margin": None}}), "is damaged.*bias"),
    "a pooling that nobody knows": (lambda folder: describe(folder, pooling={"pooling": "worst"}), "is damaged.*pooling"),
    "no configuration": (lambda folder: describe(folder, configuration=None), "is damaged.*configuration"),
    "a reference of another kind": (lambda folder: (folder / "reference.npz").write_bytes(b"no arrays"), "is damaged"),
    "code in its network": (with_code_inside, "model.keras cannot be read as a detector.*Lambda"),
    "no network in its network": (no_network, "model.keras cannot be read as a detector|is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), BAD_DETECTORS.values(), ids=BAD_DETECTORS)
def test_a_detector_that_is_not_as_it_was_packed_is_refused_with_one_message(
    folder, tmp_path, damage, message
):
    copy = shutil.copytree(folder, tmp_path / "model")
    damage(copy)
    with pytest.raises(ModelError, match=message) as refused:
        Detector.load(copy)
    assert "\n" not in str(refused.value)
    assert str(copy) in str(refused.value)


def test_a_detector_that_gives_no_number_says_so_and_not_real(folder, tmp_path, make_clip):
    from fourier_model.detector import load_detector, save_detector

    copy = shutil.copytree(folder, tmp_path / "model")
    network = load_detector(copy / "model.keras")
    network.get_layer("logit").set_weights([np.array([[np.nan]]), np.array([0.0])])
    save_detector(network, copy / "model.keras")
    redigest(copy)
    judged = Detector.load(copy).judge(fake(make_clip))
    assert (judged.status, judged.verdict, judged.probability_fake) == ("failed", None, None)
    assert judged.reason.startswith("the detector gives no number")


def test_the_command_says_it_in_a_line_and_calls_it_bad_input(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    describe(copy, threshold=None)
    done = CliRunner().invoke(app, ["detect", "clip.mp4", "--model", str(copy)])
    assert (done.exit_code, done.stderr.strip().count("\n")) == (2, 0)
