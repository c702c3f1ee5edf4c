import contextlib
import gc
import pickle
import tracemalloc
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.video import UnreadableVideo, VideoFile, VideoReader, evenly_spread, probe
from tests.unit.streams import serving

X264 = "libx264"
CLIPS = {
    "B-frames in groups of 12": ("clip.mp4", {}),
    "one group": ("clip.mp4", {"group": 250}),
    "key frames only": ("clip.mp4", {"group": 1}),
    "a pyramid of B-frames": (
        "clip.mp4",
        {"options": {"x264-params": "bframes=8:b-adapt=0:b-pyramid=normal"}},
    ),
    "open groups": (
        "clip.mp4",
        {"options": {"x264-params": "open-gop=1:keyint=8:min-keyint=8:bframes=3:b-adapt=0:scenecut=0"}},
    ),
    "no key frames, refreshed bit by bit": (
        "clip.mp4",
        {"options": {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}},
    ),
    "sound beside": ("clip.mp4", {"audio": True}),
    "10 bits": ("clip.mp4", {"pixels": "yuv420p10le"}),
    "odd sizes": ("clip.mp4", {"size": (63, 49), "pixels": "yuv444p"}),
    "fragments": ("clip.mov", {}),
    "Matroska": ("clip.mkv", {}),
    "transport stream": ("clip.ts", {}),
    "AVI with B-frames, whose times are those of decoding": ("clip.avi", {}),
    "MPEG-4 in AVI": ("clip.avi", {"codec": "mpeg4", "options": {"bf": "2", "qmin": "1", "qmax": "2"}}),
    "MPEG-4": ("clip.mp4", {"codec": "mpeg4"}),
    "HEVC": ("clip.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
    "VP8 with hidden frames": (
        "clip.webm",
        {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    ),
    "VP9": ("clip.webm", {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "cpu-used": "8"}}),
    "FLV": ("clip.flv", {}),
}


def greys(reader, wanted):
    return [(frame.index, round(frame.image.mean() / 6)) for frame in reader.frames(wanted)]


@given(st.integers(0, 5000), st.integers(1, 200))
def test_spread_frames_are_the_middles_of_equal_parts(count, wanted):
    spread = evenly_spread(count, wanted)
    assert len(spread) == min(count, wanted)
    assert all(0 <= one < count for one in spread)
    assert spread == sorted(set(spread))
    if count > wanted:
        middles = [(part + 0.5) * count / wanted for part in range(wanted)]
        assert all(0 <= middle - one < 1 for middle, one in zip(middles, spread, strict=True))


def test_spread_of_known_clips():
    assert evenly_spread(9, 3) == [1, 4, 7]
    assert evenly_spread(2, 3) == [0, 1]
    with pytest.raises(ValueError, match="got 5 and 0"):
        evenly_spread(5, 0)


@pytest.mark.parametrize(("name", "settings"), CLIPS.values(), ids=CLIPS)
def test_just_the_wanted_frames_are_read(make_clip, name, settings):
    with VideoReader(make_clip(name, 40, **settings)) as reader:
        assert reader.info.frame_count == 40
        assert greys(reader, [3, 4, 17, 38]) == [(3, 3), (4, 4), (17, 17), (38, 38)]
        assert greys(reader, [39, 0]) == [(0, 0), (39, 39)]


@pytest.mark.parametrize(("name", "settings"), CLIPS.values(), ids=CLIPS)
def test_frames_are_those_of_decoding_everything_once(make_clip, name, settings):
    noise = np.random.default_rng(1).integers(0, 256, (40, 49, 64, 3), dtype=np.uint8)

    def picture(index):
        width, height = settings.get("size", (64, 48))
        return noise[index, :height, :width]

    path = make_clip(name, 40, picture=picture, **settings)
    with av.open(str(path)) as file:
        everything = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    for wanted in ([5, 6, 7, 30], [21], range(40)):
        with VideoReader(path) as reader:
            found = {frame.index: frame.image for frame in reader.frames(wanted)}
        assert list(found) == list(wanted)
        for index, image in found.items():
            np.testing.assert_array_equal(image, everything[index])


@pytest.mark.parametrize(
    "kind", ["open groups", "a pyramid of B-frames", "HEVC", "Matroska", "transport stream", "VP9"]
)
def test_every_frame_alone_is_found_by_seeking(make_clip, monkeypatch, kind):
    name, settings = CLIPS[kind]
    path = make_clip(name, 40, picture=noisy, **settings)
    with VideoReader(path) as reader:
        everything = list(reader.frames(range(40)))
        monkeypatch.setattr(
            reader, "_read_from_start", lambda remaining: pytest.fail(f"not found: {remaining}")
        )
        for frame in everything:
            (alone,) = reader.frames([frame.index])
            np.testing.assert_array_equal(alone.image, frame.image)


def test_opencv_counts_the_same_frames(make_clip):
    path = make_clip("clip.mp4", 33)
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    assert probe(path).frame_count == count == 33


def test_only_groups_with_a_wanted_frame_are_decoded(make_clip, monkeypatch):
    path = make_clip("clip.mp4", 200, group=10, options={"x264-params": "bframes=0:scenecut=0:min-keyint=10"})
    with VideoReader(path) as reader:
        decoded = []
        decode = reader._decode
        monkeypatch.setattr(reader, "_decode", lambda packet: decoded.append(packet) or decode(packet))
        assert greys(reader, [0, 100])[1][0] == 100
    assert sum(packet is not None for packet in decoded) == 2


@pytest.mark.parametrize(
    ("wanted", "counts"), [([0], 1), ([30], 31), ([0, 30, 59], 60), ([65], 6), ([5, 95], 6 + 36), ([], 0)]
)
def test_no_more_packets_are_decoded_than_the_wanted_frames_need(make_clip, monkeypatch, wanted, counts):
    path = make_clip("clip.mp4", 120, group=60, options={"x264-params": "bframes=0:scenecut=0"})
    assert packets_decoded(path, monkeypatch, wanted) == counts


@pytest.mark.parametrize("threads", [1, 3])
def test_pictures_that_no_other_one_refers_to_do_not_reach_the_decoder(make_clip, monkeypatch, threads):
    options = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0:keyint=240"}
    path = make_clip("clip.mp4", 121, group=240, options=options)
    assert packets_decoded(path, monkeypatch, [120], threads) == 31  # 1 key frame, and each fourth one
    assert packets_decoded(path, monkeypatch, [118, 120], threads) == 32


def packets_decoded(path, monkeypatch, wanted, threads=1):
    with VideoReader(path, threads) as reader:
        decoded = []
        decode = reader._decode
        monkeypatch.setattr(reader, "_decode", lambda packet: decoded.append(packet) or decode(packet))
        assert [frame.index for frame in reader.frames(wanted)] == wanted
    return sum(packet is not None for packet in decoded)


@pytest.mark.parametrize(
    "kind", ["B-frames in groups of 12", "one group", "open groups", "HEVC", "transport stream"]
)
def test_several_threads_give_the_same_pixels(make_clip, kind):
    name, settings = CLIPS[kind]
    path = make_clip(name, 40, picture=noisy, **settings)
    for wanted in ([3, 17, 18, 38], range(40)):
        with VideoReader(path, 1) as alone, VideoReader(path, 3) as several:
            for one, other in zip(alone.frames(wanted), several.frames(wanted), strict=True):
                assert one.index == other.index
                np.testing.assert_array_equal(one.image, other.image)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["one group", "HEVC"])
def test_several_threads_conceal_damage_as_one_does(make_clip, kind, seed, capfd):
    name, settings = CLIPS[kind]
    path = make_clip(name, 40, picture=noisy, **settings)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    generator = np.random.default_rng(seed)
    content[generator.integers(len(content) // 10, len(content), 3)] ^= 0x5A
    path.write_bytes(content.tobytes())
    with contextlib.suppress(UnreadableVideo), VideoReader(path, 1) as alone, VideoReader(path, 3) as several:
        wanted = evenly_spread(alone.info.frame_count, 8)
        for one, other in zip(alone.frames(wanted), several.frames(wanted), strict=True):
            assert one.index == other.index
            np.testing.assert_array_equal(one.image, other.image)


def test_times_are_those_of_a_variable_frame_rate(make_clip):
    times = [0, 40, 90, 300, 310, 1000, 1040, 2000]
    with VideoReader(make_clip("clip.mp4", 8, milliseconds=times)) as reader:
        frames = list(reader.frames(range(8)))
        assert [frame.timestamp_s for frame in frames] == pytest.approx([time / 1000 for time in times])
        assert reader.info.fps == pytest.approx(7 / 2)
        assert reader.info.duration_s >= 2


def test_times_begin_at_the_first_frame_of_a_clip_that_begins_late(make_clip):
    times = [5000 + 40 * index for index in range(10)]
    with VideoReader(make_clip("clip.mkv", 10, milliseconds=times)) as reader:
        assert [frame.timestamp_s for frame in reader.frames([0, 9])] == pytest.approx([0, 0.36])
        assert reader.info.duration_s == pytest.approx(0.4)


def test_what_an_edit_list_hides_is_not_counted(make_clip, tmp_path):
    whole, cut = make_clip("whole.mp4", 40, options={"x264-params": "bframes=0"}), tmp_path / "cut.mp4"
    with (
        av.open(str(whole)) as source,
        av.open(str(cut), "w", options={"avoid_negative_ts": "disabled"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.pts -= 5 * packet.duration
                packet.dts -= 5 * packet.duration
                packet.stream = stream
                target.mux(packet)
    with av.open(str(cut)) as file:
        assert any(packet.is_discard for packet in file.demux(video=0))
    with VideoReader(cut) as reader:
        assert (reader.info.frame_count, reader.info.note) == (35, None)
        assert greys(reader, [0, 20, 34]) == [(0, 5), (20, 25), (34, 39)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_clips_are_read_as_opencv_shows_them(make_clip, rotation):
    def picture(index):
        image = np.full((48, 64, 3), 40, np.uint8)
        image[:24, :32] = (200, 30, 30)
        image[:24, 32:] = (30, 200, 30)
        return image

    path = make_clip("clip.mp4", 3, rotation=rotation, picture=picture)
    _, shown = cv2.VideoCapture(str(path)).read()
    with VideoReader(path) as reader:
        frame = next(reader.frames([0]))
        assert (reader.info.height, reader.info.width, 3) == frame.image.shape == shown.shape
    assert np.abs(frame.image.astype(int) - shown[..., ::-1]).mean() < 3


def test_mirrored_clips_are_read_as_shown(tmp_path):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream(X264, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :32] = 255
        file.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        file.mux(stream.encode())
    with VideoReader(path) as reader:
        left, right = np.split(next(reader.frames([0])).image, 2, axis=1)
    assert left.mean() < 20 < 235 < right.mean()


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p"])
def test_black_and_white_keep_their_full_range(make_clip, pixels):
    path = make_clip("clip.mp4", 2, pixels=pixels, picture=lambda i: np.full((48, 64, 3), 255 * i, np.uint8))
    with VideoReader(path) as reader:
        black, white = (frame.image.mean() for frame in reader.frames([0, 1]))
    assert (black, white) == (pytest.approx(0, abs=2), pytest.approx(255, abs=2))


def test_a_clip_of_one_frame_is_read(make_clip):
    with VideoReader(make_clip("clip.mp4", 1)) as reader:
        assert (reader.info.frame_count, reader.info.duration_s) == (1, pytest.approx(0.04))
        assert greys(reader, evenly_spread(1, 32)) == [(0, 0)]


def test_an_animated_gif_is_read(make_clip):
    path = make_clip("clip.gif", 12, codec="gif", pixels="gray", rate=10)
    with VideoReader(path) as reader:
        assert (reader.info.frame_count, reader.info.fps) == (12, pytest.approx(10))
        assert greys(reader, [1, 7, 11]) == [(1, 1), (7, 7), (11, 11)]


def test_colours_follow_the_matrix_that_the_file_is_tagged_with(tmp_path):
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, value in zip(frame.planes, (90, 100, 200), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    red = {}
    for name, matrix in (("601", "bt470bg"), ("709", "bt709")):
        path = tmp_path / f"{name}.mp4"
        with av.open(str(path), "w") as file:
            stream = file.add_stream(X264, rate=25, options={"x264-params": f"colormatrix={matrix}"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            file.mux(stream.encode(frame))
            file.mux(stream.encode())
        with VideoReader(path) as reader:
            red[name] = float(next(reader.frames([0])).image[..., 0].mean())
    luma = 255 / 219 * (90 - 16)  # R = Y + Cr (1 - Kr) 2, with Kr = 0.299 (BT.601) and 0.2126 (BT.709)
    assert red["601"] == pytest.approx(luma + 255 / 224 * 72 * 2 * (1 - 0.299), abs=3)
    assert red["709"] == pytest.approx(luma + 255 / 224 * 72 * 2 * (1 - 0.2126), abs=3)


def test_a_position_outside_the_clip_is_an_error(make_clip):
    with (
        VideoReader(make_clip("clip.mp4", 5)) as reader,
        pytest.raises(ValueError, match="frames 0 to 4, got 2 to 5"),
    ):
        reader.frames([2, 5])


def playlist(path, part="clip.mp4"):
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{part}\n#EXT-X-ENDLIST\n")


def sound(path):
    with av.open(str(path), "w", format="mp4") as file:
        stream = file.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


BROKEN = {
    "an empty file": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("no video\n" * 500), "cannot be read as a video"),
    "subtitles": (
        lambda path: path.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n"),
        "cannot be read",
    ),
    "a playlist": (playlist, "cannot be read as a video"),
    "sound only": (sound, "no video track"),
    "random bytes": (lambda path: path.write_bytes(np.random.default_rng(3).bytes(20_000)), "cannot be read"),
}


@pytest.mark.parametrize(("write", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_video_is_said_to_be_unreadable(tmp_path, make_clip, capfd, write, reason):
    make_clip("clip.mp4", 3)  # what the playlist names
    capfd.readouterr()
    path = tmp_path / "odd.mp4"
    write(path)
    with pytest.raises(UnreadableVideo, match=reason) as raised:
        probe(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4"])
def test_a_list_of_other_files_is_no_video(make_clip, tmp_path, monkeypatch, name):
    make_clip("clip.ts", 40)
    if name == "list.mp4":
        (tmp_path / name).write_text("ffconcat version 1.0\nfile clip.ts\n")
    else:
        playlist(tmp_path / name, "clip.ts")
    with pytest.raises(UnreadableVideo, match="cannot be read as a video"):
        probe(tmp_path / name)
    monkeypatch.setattr("storage.video.CONTAINERS", "hls,concat,mpegts")
    assert probe(tmp_path / name).frame_count == 40  # what the list of formats keeps out


def test_no_format_whatever_it_is_calls_another_address(tmp_path, monkeypatch):
    """Here, one that would: a list of parts."""
    monkeypatch.setattr("storage.video.CONTAINERS", "hls")
    called = []
    with serving(*[called.append] * 9) as place:
        playlist(tmp_path / "list.m3u8", f"http://{place}/part.ts")
        with pytest.raises(UnreadableVideo, match="cannot be read as a video"):
            probe(tmp_path / "list.m3u8")
    assert called == []


def test_a_clip_without_its_index_is_unreadable(make_clip):
    path = make_clip("clip.mov", 40)  # its index is at the end
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(UnreadableVideo, match="cannot be read as a video"):
        probe(path)


def noisy(index):
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_of_a_clip_that_was_cut_off_what_is_left_is_used_and_noted(make_clip, name, capfd):
    path = make_clip(name, 40, picture=noisy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    capfd.readouterr()
    with VideoReader(path) as reader:
        count = reader.info.frame_count
        assert 20 <= count < 40
        assert "ends early" in reader.info.note
        wanted = evenly_spread(count, 8)
        assert [frame.index for frame in reader.frames(wanted)] == wanted
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_clip_of_which_less_than_half_is_left_is_unreadable(make_clip, name):
    path = make_clip(name, 40, picture=noisy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(UnreadableVideo, match=r"is cut off, it ends early, with 0\.\d+ s of the 1\.60 s"):
        probe(path)


@pytest.mark.parametrize("seed", range(8))
def test_damage_costs_frames_and_never_more(make_clip, seed, capfd):
    path = make_clip("clip.mp4", 40, picture=noisy)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    generator = np.random.default_rng(seed)
    places = generator.integers(1500, len(content), 200)
    content[places] = generator.integers(0, 256, 200)
    path.write_bytes(content.tobytes())
    capfd.readouterr()
    with contextlib.suppress(UnreadableVideo), VideoReader(path) as reader:
        wanted = evenly_spread(reader.info.frame_count, 8)
        found = [frame.index for frame in reader.frames(wanted)]
        assert found == sorted(set(found) & set(wanted))
    assert capfd.readouterr() == ("", "")


def test_a_name_in_a_file_that_is_no_text_does_not_matter(make_clip):
    path = make_clip("clip.mkv", 5)
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"\xc5avf"))
    assert probe(path).frame_count == 5


def test_a_file_that_ends_in_its_header_is_a_matter_of_content_though_libav_blames_the_disk(make_clip):
    path = make_clip("clip.mkv", 5)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnreadableVideo, match="cannot be read as a video"):
        probe(path)


def test_a_file_that_is_missing_is_no_matter_of_content(tmp_path):
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "missing.mp4")
    with pytest.raises(IsADirectoryError):
        probe(tmp_path)


def test_a_name_with_a_colon_is_a_name(make_clip, tmp_path, monkeypatch):
    make_clip("clip.mp4", 3).rename(tmp_path / "http:clip%03d.mp4")
    monkeypatch.chdir(tmp_path)
    assert probe(next(tmp_path.glob("*.mp4")).relative_to(tmp_path)).frame_count == 3


def test_one_frame_at_a_time_is_in_memory(make_clip):
    path = make_clip("clip.mp4", 60, size=(640, 480))
    with VideoReader(path) as reader:
        frames = reader.frames(range(60))
        next(frames)
        gc.collect()
        tracemalloc.start()
        for _ in frames:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 4 * 640 * 480 * 3


def test_pictures_are_gone_without_the_garbage_collector(make_clip):
    with VideoReader(make_clip("clip.mp4", 60)) as reader:
        gc.collect()
        gc.disable()
        try:
            for _ in reader.frames(range(60)):
                pass
            assert sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()) < 4
        finally:
            gc.enable()


def test_pixels_may_be_written_to(make_clip):
    with VideoReader(make_clip("clip.mp4", 1, size=(62, 46))) as reader:
        next(reader.frames([0])).image[:] = 0


def test_the_error_survives_the_way_between_processes(tmp_path):
    error = pickle.loads(pickle.dumps(UnreadableVideo(tmp_path / "a.mp4", "is empty")))
    assert str(error) == f"{tmp_path}/a.mp4 is empty"


def test_a_video_is_known_by_its_digest_and_its_files_by_their_root(tmp_path):
    video = VideoFile(root=str(tmp_path), files=("a/1.png", "a/2.png"), kind="images", digest="d")
    assert video.paths == [tmp_path / "a/1.png", tmp_path / "a/2.png"]
    with pytest.raises(ValueError, match="files"):
        VideoFile(root=".", files=(), kind="video", digest="d")


def test_rates_are_counted_and_not_taken_from_the_header(make_clip):
    info = probe(make_clip("clip.mp4", 10, rate=30))
    assert info.fps == pytest.approx(30)
    assert info.duration_s == pytest.approx(float(Fraction(10, 30)))
    assert (info.codec, info.note) == ("h264", None)
