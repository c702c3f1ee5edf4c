import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.workspace import Workspace
from tasks import detections
from tasks.detect import Detector
from tasks.detections import DetectionsError, open_detections
from tasks.judgement import Judgement
from tasks.watch import WatchError, watch_folder
from tests.unit.conftest import write_clip
from tests.unit.judgement.conftest import SIZE, pack_detector, picture

FINE = {"crf": "1", "preset": "ultrafast"}


def make(path, amplitude, seed=0):
    """A clip that the detector takes for fake where the amplitude is 5, for real where it is 0."""
    rng = np.random.default_rng(seed)
    frame = picture(rng, amplitude, (SIZE, SIZE + 16))
    return write_clip(path, 8, size=(SIZE + 16, SIZE), options=FINE, picture=lambda _: frame)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pack_detector(tmp_path_factory.mktemp("detector") / "model")


@pytest.fixture
def uploads(tmp_path):
    """A real and a fake clip, and a file that is no video."""
    folder = tmp_path / "uploads"
    (folder / "sub").mkdir(parents=True)
    make(folder / "real.mp4", 0)
    make(folder / "sub" / "fake.mp4", 5)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace").prepare()


@pytest.fixture
def look(uploads, workspace, model):
    """Looks at the folder once; fakes that were told of are in `look.told`."""

    def look(settle_s=0.0, announce=None):
        def tell(fake):
            look.told.append(fake)
            return True

        return watch_folder(uploads, workspace, model, settle_s=settle_s, announce=announce or tell)

    look.told = []
    return look


def rows(workspace):
    return pd.read_parquet(workspace.root / "detections").sort_values("path", ignore_index=True)


def test_what_is_judged_once_is_not_judged_again_nor_told_again(look, workspace, monkeypatch):
    first = look()
    assert Counter(judged.verdict for judged in first.judged) == {"real": 1, "fake": 1, None: 1}
    assert [Path(fake.path).name for fake in look.told] == ["fake.mp4"]
    before = rows(workspace)
    monkeypatch.setattr(Detector, "load", lambda _: pytest.fail("loaded for nothing"))
    again = look()
    assert (again.judged, again.copies, again.waiting, again.announced) == ([], {}, [], 0)
    pd.testing.assert_frame_equal(rows(workspace), before)
    assert len(look.told) == 1


def test_the_flow_gives_the_scores_of_a_clip_judged_alone(look, uploads, workspace, model):
    look()
    detector = Detector.load(model)
    for row in rows(workspace).to_dict("records"):
        alone = detector.judge(row["path"])
        assert (alone.status, alone.sha256) == (row["status"], row["sha256"])
        if alone.probability_fake is not None:
            assert row["probability_fake"] == pytest.approx(alone.probability_fake, abs=1e-5)
            assert len(row["faces"][0]["frames"]) == len(alone.faces[0].frames)


def test_rows_lie_in_a_folder_for_their_day_and_say_when_they_were_made(look, workspace):
    look()
    found = rows(workspace)
    assert set(found["day"].astype(str)) == set(found["judged_at"].dt.date.astype(str))
    assert [path.suffix for path in workspace.root.rglob("day=*/*")] == [".parquet"]


def test_a_broken_file_has_a_row_with_its_reason_and_is_not_tried_for_ever(look, workspace):
    look()
    row = rows(workspace).iloc[0]
    assert (Path(row["path"]).name, row["status"]) == ("broken.mp4", "failed")
    assert "cannot be read as a video" in row["reason"]
    assert look().judged == []


def test_another_name_for_the_same_content_is_a_note_and_no_judgement(look, uploads, workspace):
    look()
    shutil.copy2(uploads / "sub" / "fake.mp4", uploads / "again.mp4")
    (uploads / "real.mp4").rename(uploads / "moved.mp4")
    found = look()
    assert found.judged == []
    assert {Path(name).name: Path(path).name for name, path in found.copies.items()} == {
        "again.mp4": "fake.mp4",
        "moved.mp4": "real.mp4",
    }
    assert look().copies == {}
    assert (len(rows(workspace)), len(look.told)) == (3, 1)


def test_a_changed_file_is_judged_though_its_name_size_and_time_are_the_old_ones(look, uploads, workspace):
    look()
    old = (uploads / "real.mp4").stat()
    content = make(uploads / "other.mp4", 5, seed=3).read_bytes()
    (uploads / "other.mp4").unlink()
    (uploads / "real.mp4").write_bytes(content)
    os.utime(uploads / "real.mp4", ns=(old.st_atime_ns, old.st_mtime_ns))
    (judged,) = look().judged
    assert (Path(judged.path).name, judged.verdict) == ("real.mp4", "fake")
    assert len(rows(workspace)) == 4


def test_another_detector_judges_everything_anew(look, uploads, workspace, tmp_path, model):
    look()
    other = shutil.copytree(model, tmp_path / "other")
    record = (other / "model.json").read_text().replace('"threshold": 0.5', '"threshold": 0.25')
    (other / "model.json").write_text(record)
    found = watch_folder(uploads, workspace, other, settle_s=0, announce=bool)
    assert len(found.judged) == 3
    assert rows(workspace)["model"].value_counts().tolist() == [3, 3]


def test_a_file_that_has_just_changed_is_left_for_the_next_run(look, uploads, workspace):
    found = look(settle_s=3600)
    assert len(found.waiting) == 3
    assert (found.judged, list(workspace.root.rglob("*.parquet"))) == ([], [])
    assert len(look().judged) == 3


def test_a_copy_with_the_old_time_of_its_original_has_changed_just_now_all_the_same(look, uploads):
    os.utime(uploads / "real.mp4", (0, 0))
    assert str(uploads / "real.mp4") in look(settle_s=3600).waiting


def test_a_file_that_grows_while_it_is_judged_has_no_row_until_it_is_whole(
    look, uploads, workspace, monkeypatch
):
    judge = Detector.judge

    def and_grow(self, path):
        judged = judge(self, path)
        with (uploads / "real.mp4").open("ab") as file:
            file.write(b"more")
        return judged

    monkeypatch.setattr(Detector, "judge", and_grow)
    found = look()
    assert [Path(path).name for path in found.waiting] == ["real.mp4"]
    assert "real.mp4" not in [Path(path).name for path in rows(workspace)["path"]]
    monkeypatch.setattr(Detector, "judge", judge)
    assert [Path(judged.path).name for judged in look().judged] == ["real.mp4"]


def test_a_fake_that_nobody_could_be_told_of_is_told_by_the_next_run_under_the_same_id(look, workspace):
    refused = []
    found = look(announce=lambda fake: bool(refused.append(fake)))
    assert (found.announced, found.unannounced) == (0, 1)
    assert rows(workspace)["announced_at"].isna().all()
    assert look().announced == 1
    assert look.told == refused
    assert rows(workspace)["announced_at"].notna().sum() == 1
    assert look().announced == 0


def test_a_run_that_dies_between_the_row_and_its_event_leaves_the_event_to_the_next(look, workspace):
    def die(fake):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(announce=die)
    assert "fake" in set(rows(workspace)["verdict"])
    assert look().announced == 1
    assert [Path(fake.path).name for fake in look.told] == ["fake.mp4"]


RUN = """
import sys
from pathlib import Path
from storage.workspace import Workspace
from tasks.watch import Detector, watch_folder

judge = Detector.judge

def stop_at_the_fake(self, path):
    if path.name == "fake.mp4":
        print("judging it", flush=True)
        sys.stdin.read()
    return judge(self, path)

Detector.judge = stop_at_the_fake
folder, workspace, model = map(Path, sys.argv[1:])
watch_folder(folder, Workspace(workspace), model, settle_s=0, announce=bool)
"""


def test_two_runs_at_once_of_which_one_is_killed_judge_each_clip_once(
    look, uploads, workspace, model, monkeypatch
):
    call = [sys.executable, "-c", RUN, *map(str, (uploads, workspace.root, model))]
    waits = threading.Event()
    monkeypatch.setattr(detections.logger, "info", lambda *_: waits.set())
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        try:
            assert first.stdout.readline() == b"judging it\n"
            with ThreadPoolExecutor() as threads:
                second = threads.submit(look)
                assert waits.wait(60)
                assert not second.done()
                first.kill()
                judged = second.result().judged
        finally:
            first.kill()
    assert first.returncode == -signal.SIGKILL
    assert [Path(one.path).name for one in judged] == ["fake.mp4"]
    found = rows(workspace)
    assert len(found) == 3
    assert found["sha256"].is_unique
    assert [Path(fake.path).name for fake in look.told] == ["fake.mp4"]
    assert look().judged == []


def test_a_clip_that_ends_every_run_is_put_down_as_failed_and_the_rest_is_judged(
    look, uploads, workspace, monkeypatch
):
    judge = Detector.judge

    def die(self, path):
        if path.name == "broken.mp4":
            raise KeyboardInterrupt
        return judge(self, path)

    monkeypatch.setattr(Detector, "judge", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            look()
    assert len(look().judged) == 3
    row = rows(workspace).iloc[0]
    assert row["status"] == "failed"
    assert row["reason"].startswith("2 runs ended in the midst of it")


def test_a_file_that_cannot_be_opened_has_one_row_and_is_judged_once_it_can_be(look, uploads, workspace):
    (uploads / "lost.mp4").symlink_to(uploads / "later" / "clip.mp4")
    look()
    assert look().judged == []
    (uploads / "later").mkdir()
    make(uploads / "later" / "clip.mp4", 0, seed=5)
    assert len(look().judged) == 1


def test_hidden_files_other_files_and_links_that_leave_the_folder_are_left_out(look, uploads, tmp_path):
    shutil.copy(uploads / "real.mp4", tmp_path / "outside.mp4")
    (uploads / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    for name in (".hidden.mp4", "notes.txt", "clip.mp4.part"):
        shutil.copy(uploads / "real.mp4", uploads / name)
    os.mkfifo(uploads / "pipe.mp4")
    assert len(look().judged) == 3


def test_a_name_that_is_no_text_is_judged_like_any_other(look, uploads, workspace):
    (uploads / "real.mp4").rename(uploads / os.fsdecode(b"\xff.mp4"))
    assert "real" in {judged.verdict for judged in look().judged}
    assert r"\xff.mp4" in {Path(path).name for path in rows(workspace)["path"]}


def test_a_day_goes_on_in_the_next_file_where_one_is_full(workspace, monkeypatch):
    monkeypatch.setattr(detections, "PART_ROWS", 3)
    for start in (0, 4):
        with open_detections(workspace) as found:
            for number in range(start, start + 4):
                judged = Judgement(path=f"{number}.mp4", status="failed", sha256=f"{number:064}", model="m")
                assert found.add(judged) is None
                assert found.add(judged) is None
    assert len(rows(workspace)) == 8
    assert len(list(workspace.root.rglob("part-*.parquet"))) == 3


def test_what_a_killed_run_left_half_written_is_swept_away_and_not_read(look, workspace):
    look()
    (part,) = workspace.root.rglob("part-*.parquet")
    left = part.with_name(f".{part.name}.x")
    left.write_bytes(part.read_bytes()[:100])
    look()
    assert not left.exists()


def test_a_damaged_file_of_the_records_is_an_error_that_names_it_and_no_new_start(look, workspace):
    look()
    (part,) = workspace.root.rglob("part-*.parquet")
    part.write_bytes(b"damaged")
    with pytest.raises(DetectionsError, match=r"part-0000\.parquet cannot be read .*: restore it, or remove"):
        look()


def test_a_folder_that_is_not_there_or_holds_the_workspace_is_refused(uploads, model):
    def watch(folder, workspace):
        watch_folder(folder, workspace, model, settle_s=0, announce=bool)

    with pytest.raises(WatchError, match="no folder that can be watched: make it, or mount"):
        watch(uploads / "gone", Workspace(uploads))
    with pytest.raises(WatchError, match="put it elsewhere"):
        watch(uploads, Workspace(uploads / "workspace"))
