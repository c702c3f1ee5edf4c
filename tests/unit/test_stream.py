import itertools
import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from storage.stream import NewestFrames, StreamReader
from storage.stream_clock import BEHIND_S, JUMP_S, Pace, StreamClock
from storage.stream_source import Patience, StreamError, StreamLost, stream_source
from storage.video import CONTAINERS
from tests.unit.streams import answering, number_of, rtsp, sending, serving, transport_stream

QUICK = Patience(answer_s=0.5, gone_s=0.2, growth_s=0.3, first_retry_s=0.01)
KEEP, WINDOW, EVERY = 8, 2.0, 1.0  # of 8 frames a second, every second one


def reader_of(source, patience=QUICK, keep=KEEP):
    return StreamReader(stream_source(str(source)), keep, window_s=WINDOW, every_s=EVERY, patience=patience)


def numbers(window):
    return [number_of(frame.image) for frame in window.frames(range(window.info.frame_count))]


def until_lost(reader):
    """The windows up to where the source is lost, and what is said of it."""
    windows = []
    with pytest.raises(StreamLost) as lost:
        windows.extend(reader.windows())
    return windows, str(lost.value)


FORMATS = {
    "clip.ts": {},
    "clip.mkv": {},
    "clip.mp4": {},
    "turned.mp4": {"rotation": 90, "size": (64, 32)},
    "b_frames.mp4": {"options": {"bf": "3", "b-adapt": "0"}},
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_there_already_is_judged_window_by_window_with_no_frame_lost(make_clip, name):
    with reader_of(make_clip(name, 40, rate=8, **FORMATS[name])) as reader:
        windows = list(reader.windows())
    assert [numbers(window) for window in windows] == [
        list(range(max(0, end - 14), end + 1, 2)) for end in (8, 16, 24, 32, 38)
    ]
    assert [window.frames_dropped for window in windows] == [0] * 5
    assert windows[-1].frames_read == 40
    assert [frame.timestamp_s for frame in windows[0].frames([0, 4])] == [0, pytest.approx(1)]
    info = windows[1].info
    assert (info.width, info.height) == ((32, 64) if "rotation" in FORMATS[name] else (64, 48))
    assert info.fps == pytest.approx(8)
    assert info.codec == "h264"
    assert info.bits_per_pixel > 0


def test_a_file_is_followed_as_it_grows_and_ends_where_it_no_longer_does(tmp_path):
    path, content = tmp_path / "growing.ts", transport_stream(0, 200)
    half = len(content) // 376 * 188
    path.write_bytes(content[:half])
    with reader_of(path, Patience(growth_s=6)) as reader:
        windows = reader.windows()
        assert numbers(next(windows)) == [0, 2, 4, 6, 8]
        assert reader.frames_read < 100
        with path.open("ab") as file:
            file.write(content[half:])
        *_, last = windows
    # What was added is live: a machine that is behind passes over frames of it, and says so.
    assert 100 < last.frames_read <= 200
    assert last.samples[-1].time_s > 190 / 8
    assert last.reconnects == 0


def test_a_file_that_was_empty_at_first_is_followed_too(tmp_path):
    path = tmp_path / "new.ts"
    path.touch()
    with reader_of(path) as reader:
        path.write_bytes(transport_stream(0, 8))
        assert numbers(next(reader.windows()))[0] == 0


def test_a_server_that_goes_away_or_falls_silent_is_connected_to_again_until_it_is_gone():
    closed = threading.Event()
    visits = (
        sending(transport_stream(0, 9)),
        sending(transport_stream(12, 9), closed.wait),
        sending(transport_stream(24, 9)),
    )
    with serving(*visits) as place, reader_of(f"tcp://{place}") as reader:
        windows, said = until_lost(reader)
        closed.set()
    assert windows[-1].reconnects == 2
    seen = {number for window in windows for number in numbers(window)}
    assert all(seen & set(range(first, first + 9)) for first in (0, 12, 24))
    assert all(numbers(window) == sorted(numbers(window)) for window in windows)
    assert f"tcp://{place}, lost 0.2 s ago: " in said


def test_a_server_that_takes_the_call_and_never_answers_is_told_within_its_time():
    hung_up = threading.Event()
    with serving(lambda _: hung_up.wait()) as place, reader_of(f"http://{place}/live") as reader:
        assert until_lost(reader) == (
            [],
            f"http://{place}/live: no answer for 0.5 s; check the address, and that it is sending",
        )
        hung_up.set()


def test_a_server_that_refuses_is_told_without_user_and_password():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with reader_of(f"rtsp://me:secret@127.0.0.1:{port}/cam?key=secret") as reader:
        windows, said = until_lost(reader)
    assert windows == []
    assert said.startswith(f"rtsp://127.0.0.1:{port}/cam: Connection refused;")


@pytest.mark.parametrize("content", [b"", b"no video" * 1000])
def test_a_server_that_sends_no_video_is_told(content):
    with serving(sending(content)) as place, reader_of(f"tcp://{place}") as reader:
        windows, said = until_lost(reader)
    assert windows == []
    assert said.startswith(f"tcp://{place}: Invalid data") or "End of file" in said


def test_who_takes_too_late_gets_the_newest_frames_of_a_bounded_number_and_is_told_how_many_were_dropped():
    read, taken = threading.Event(), threading.Event()

    def again(_):
        read.set()  # the reader comes back: it has read all of the first visit
        taken.wait()

    with (
        serving(sending(transport_stream(0, 41)), again) as place,
        reader_of(f"tcp://{place}", Patience(answer_s=30, first_retry_s=0.01)) as reader,
    ):
        assert read.wait(60)
        assert len(reader.newest) == KEEP
        window = next(reader.windows())
        assert numbers(window) == list(range(26, 41, 2))
        assert window.frames_dropped == 21 - KEEP
        assert window.frames_read == 41
        taken.set()


def test_a_stream_over_http_is_read():
    page = answering({"/live": ("video/mp2t", transport_stream(0, 17))})
    with serving(page) as place, reader_of(f"http://{place}/live") as reader:
        windows, _ = until_lost(reader)
    assert numbers(windows[-1])[-1] == 16


def playlist(segment):
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", segment, "#EXT-X-ENDLIST", ""]
    return "application/vnd.apple.mpegurl", "\n".join(lines).encode()


def test_an_hls_list_that_is_complete_is_read_at_the_pace_of_the_judge_and_once():
    pages = {"/list.m3u8": playlist("part.ts"), "/part.ts": ("video/mp2t", transport_stream(0, 33))}
    with serving(*[answering(pages)] * 9) as place, reader_of(f"http://{place}/list.m3u8") as reader:
        windows = list(reader.windows())
    assert [numbers(window)[-1] for window in windows] == [8, 16, 24, 32]
    assert windows[-1].frames_dropped == windows[-1].reconnects == 0


@pytest.mark.parametrize("address", ["file://{}", "{}", "subfile,,start,0,end,0,,:{}", "concat:{}"])
def test_a_list_of_the_network_opens_no_file_of_this_machine(tmp_path, address):
    secret = tmp_path / "secret.ts"
    secret.write_bytes(transport_stream(0, 33))
    pages = {"/list.m3u8": playlist(address.format(secret))}
    with serving(*[answering(pages)] * 9) as place, reader_of(f"http://{place}/list.m3u8") as reader:
        windows, _ = until_lost(reader)
    assert windows == []


CONCATENATED = b"ffconcat version 1.0\nfile part.ts\n"
"""A list that is known by its content, whatever it is called."""


def test_a_list_over_a_plain_connection_has_nothing_else_called():
    called = []
    with (
        serving(sending(CONCATENATED), called.append, called.append) as place,
        reader_of(f"tcp://{place}") as reader,
    ):
        windows, _ = until_lost(reader)
    assert windows == called == []


def test_a_list_that_grows_opens_no_file_even_if_it_were_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "part.ts").write_bytes(transport_stream(0, 33))
    (tmp_path / "list.ts").write_bytes(CONCATENATED)
    for formats in (CONTAINERS, "concat,mpegts"):
        monkeypatch.setattr("storage.stream_source.CONTAINERS", formats)
        with reader_of("list.ts") as reader:
            assert until_lost(reader)[0] == []


def test_a_file_that_grows_is_read_in_the_formats_of_videos_alone(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "drawn.ts", "PNG")
    with reader_of(tmp_path / "drawn.ts") as reader:
        assert until_lost(reader)[0] == []


def test_a_camera_is_read_by_rtsp():
    with serving(rtsp(transport_stream(0, 17))) as place, reader_of(f"rtsp://{place}/cam") as reader:
        windows, _ = until_lost(reader)
    assert numbers(windows[-1])[-1] >= 14
    assert windows[-1].info.codec == "h264"


def test_datagrams_are_read():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    content, done = transport_stream(0, 17), threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for start in itertools.cycle(range(0, len(content), 7 * 188)):
                if done.is_set():
                    return
                sender.sendto(content[start : start + 7 * 188], ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    with reader_of(f"udp://127.0.0.1:{port}", Patience(answer_s=30)) as reader:
        thread.start()
        assert next(reader.windows()).info.frame_count > 0
        done.set()
        thread.join()


def test_reading_ends_after_so_many_seconds_with_what_came():
    left = threading.Event()
    with (
        serving(sending(transport_stream(0, 5), left.wait)) as place,
        reader_of(f"tcp://{place}", Patience(answer_s=1)) as reader,
    ):
        windows = list(reader.windows(0.5))
        assert len(windows) <= 1
        left.set()


@pytest.mark.parametrize(
    "address", ["srt://h:1", "file:///etc/passwd", "concat://a", "HTTPX://h", "data://x"]
)
def test_protocols_that_are_not_on_the_list_are_refused(address):
    with pytest.raises(StreamError, match="expected rtsp, rtsps, rtmp"):
        stream_source(address)


def test_what_is_neither_file_nor_camera_nor_address_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for text, what in [
        ("pipe", "neither a camera nor"),
        ("none", "No such file"),
        ("", "neither a camera nor"),
    ]:
        with pytest.raises(StreamError, match=what):
            stream_source(str(tmp_path / text))
    with pytest.raises(StreamError, match="/dev/video98765"):
        stream_source("98765")
    with pytest.raises(StreamError):
        stream_source("http://h:port/")
    assert stream_source("/dev/null").kind == "camera"
    assert stream_source("HTTPS://user:word@[::1]:8080/a/b?c=d").label == "https://[::1]:8080/a/b"
    assert stream_source("RTSP://h/A").target == "rtsp://h/A"


@given(
    st.integers(1, 9),
    st.floats(0.5, 20),
    st.floats(0.05, 1),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_who_takes_every_window_as_it_is_due_misses_no_frame(keep, window_s, share, steps):
    newest, taken, last = NewestFrames(keep, window_s, share * window_s), [], 0
    for time_s in itertools.accumulate(steps):
        if newest.wants(time_s):
            newest.offer(None, time_s, "", 0, 0, patient=False)
        if newest.is_due():
            window = newest.take(0)
            assert 1 <= len(window) <= keep
            old = [sample.number for sample in window if sample.time_s <= window[-1].time_s - window_s]
            assert all(number > last for number in old)
            last = window[-1].number
            taken.append(window)
    assert newest.dropped == 0
    assert len(newest) <= keep
    fresh = {sample.number for window in taken for sample in window}
    assert fresh == set(range(1, max(fresh, default=0) + 1))


def test_time_goes_on_over_stamps_that_are_missing_jump_or_begin_anew():
    clock = StreamClock()
    assert clock.at(100.0, 7.0) == 0
    assert clock.at(100.5, 7.1) == 0.5
    assert clock.at(None, 7.35) == pytest.approx(0.75)
    assert clock.at(101.0, 7.4) == pytest.approx(1)
    assert clock.at(3.0, 7.9) == pytest.approx(1.5)  # back
    assert clock.at(3.5, 7.9) == pytest.approx(2)
    assert clock.at(3.5 + JUMP_S + 1, 8.0) == pytest.approx(2.1)  # far ahead of the time that passed
    clock.restart()
    assert clock.at(3.5, 68.0) == pytest.approx(62.1)  # a gap takes its time


def test_decoding_is_behind_where_it_is_slower_than_the_stream_and_never_waits():
    pace = Pace()
    for second in range(5):  # quick: waits for each packet
        pace.note(float(second), 0.9, float(second))
        assert not pace.behind
    pace.note(4.5 + BEHIND_S, 0.0, 5.0)
    assert pace.behind
    pace.note(5.0 + BEHIND_S, 0.0, 9.0)
    assert pace.behind  # until all is read that was there
    pace.note(5.1 + BEHIND_S, 0.05, 9.1)
    assert not pace.behind


def test_a_burst_that_is_read_faster_than_it_was_made_is_not_behind():
    pace = Pace()
    for step in range(40):
        pace.note(step / 4, 0.0, float(step))
        assert not pace.behind
