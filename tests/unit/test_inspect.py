import json
import os
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.images import write_image
from storage.layouts.base import DataSetError, DataSetSettings
from tasks.catalogue import list_data_set
from tasks.inspect import inspect
from tests.unit.conftest import write_clip


def look(root, **options):
    return inspect([list_data_set(DataSetSettings(uri=str(root)), root, read=bool(options))], **options)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve pairs; the fakes alone have sound and are twice as long, one is a copy of a real, one is damaged."""
    root = tmp_path_factory.mktemp("clips")
    for name in ("real", "fake"):
        (root / name).mkdir()
    for index in range(12):
        for label, name in enumerate(("real", "fake")):
            grey = np.full((48, 64, 3), 10 * index + label, np.uint8)
            frames = 8 + 8 * label + index % 3
            write_clip(
                root / name / f"{index}.mp4", frames, picture=lambda _, grey=grey: grey, audio=bool(label)
            )
    shutil.copy(root / "real" / "3.mp4", root / "fake" / "20.mp4")
    (root / "fake" / "21.mp4").write_text("no video at all")
    (root / "real" / "22.mp4").touch()
    (root / "other.mp4").write_bytes((root / "real" / "1.mp4").read_bytes())
    (root / "note.png").touch()
    return root


def test_names_and_sizes_alone_open_no_file_and_know_of_no_copies(clips, tmp_path):
    found = look(clips)
    assert found["by"]["label"] == {"fake": 14, "real": 12}
    assert found["duplicates"] is None
    assert {kind["path"] for kind in found["unreadable"]["first"]} == {"real/22.mp4", "note.png"}
    assert [kind["path"] for kind in found["unlabelled"]["first"]] == ["other.mp4"]
    assert set(found["confounds"]) == {"file size", "file format"}
    locked = tmp_path / "locked"
    shutil.copytree(clips, locked)
    for path in locked.rglob("*.mp4"):
        path.write_bytes(b"x" * path.stat().st_size)
    assert look(locked)["by"] == found["by"]


def test_probing_finds_copies_across_labels_and_files_that_cannot_be_read(clips):
    found = look(clips, headers=True)
    assert found["counts"] == {"ok": 25, "unlabelled": 1, "unreadable": 3}
    assert "fake/21.mp4" in {kind["path"] for kind in found["unreadable"]["first"]}
    assert found["duplicates"]["across_labels"] == 1
    assert any("labelled both real and fake" in warning for warning in found["warnings"])


def test_facts_that_give_the_classes_away_are_warned_of_and_others_are_not(clips):
    found = look(clips, headers=True)
    telling = {name for name, fact in found["confounds"].items() if fact["warning"]}
    assert {"length", "audio"} <= telling
    assert not {"codec", "picture size", "frame rate"} & telling
    assert any(warning.startswith("the audio alone can tell") for warning in found["warnings"])
    assert found["confounds"]["codec"]["reason"] == "the same for all videos, or not known"


def test_faces_are_looked_for_in_as_many_videos_of_each_class(clips):
    found = look(clips, faces=2)
    assert found["counts"]["no_face"] == 4


def test_images_are_probed_by_their_headers(tmp_path):
    for name, size in (("real/a", (20, 30)), ("fake/b", (40, 60))):
        (tmp_path / name).mkdir(parents=True)
        for index in range(2):
            write_image(tmp_path / name / f"{index}.png", np.full((*size, 3), len(name) + index, np.uint8))
    (tmp_path / "fake" / "c").mkdir()
    (tmp_path / "fake" / "c" / "0.png").write_text("no image")
    found = look(tmp_path, headers=True)
    assert found["counts"] == {"ok": 2, "unreadable": 1}


def test_metadata_that_names_what_is_not_there_is_normal_and_counted(tmp_path):
    entries = {f"{index}.mp4": {"label": ("REAL", "FAKE")[index % 2]} for index in range(6)}
    (tmp_path / "metadata.json").write_text(json.dumps(entries))
    for index in range(2):
        (tmp_path / f"{index}.mp4").write_text(str(index))
    found = look(tmp_path)
    assert found["missing"]["count"] == 4
    assert found["missing"]["first"][0]["path"] == "2.mp4"
    assert "4 of the 6 videos that metadata.json names are not there" in found["data_sets"][0]["notes"]


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_data_set_that_cannot_be_written_is_read(clips, tmp_path):
    shutil.copytree(clips, tmp_path / "set")
    for folder in (tmp_path / "set", *(tmp_path / "set").glob("*/")):
        folder.chmod(0o555)
    assert look(tmp_path / "set", headers=True)["videos"] == 29


def test_nothing_is_written_beside_the_data(clips):
    before = sorted((str(path), path.stat().st_mtime_ns) for path in clips.rglob("*"))
    look(clips, faces=1)
    assert sorted((str(path), path.stat().st_mtime_ns) for path in clips.rglob("*")) == before


def test_the_command_prints_one_object_or_a_page(clips):
    done = CliRunner().invoke(app, ["inspect", str(clips), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["videos"] == 29
    page = CliRunner().invoke(app, ["inspect", str(clips), "--probe"]).stdout
    for words in ("class folders: folders named fake, real", "12 real", "warning: the audio alone can tell"):
        assert words in page


def test_the_command_refuses_what_is_no_data_set_with_code_2(tmp_path):
    done = CliRunner().invoke(app, ["inspect", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
    with pytest.raises(DataSetError, match="is empty"):
        look(tmp_path)
