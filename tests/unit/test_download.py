import json

import pytest

from storage.layouts.base import DataSetError
from storage.workspace import Workspace
from tasks.download import fetched_root, parse_uri
from tasks.kaggle import DownloadError
from tasks.stage import Artifact


@pytest.mark.parametrize("uri", ["kaggle:slug", "kaggle:a/b/versions/0", "kaggle:a/b/c"])
def test_a_name_that_is_no_data_set_says_what_one_is(uri):
    with pytest.raises(DataSetError, match=r"expected kaggle:owner/slug|a data set is"):
        parse_uri(uri)


def test_files_that_were_lost_after_the_download_are_missed(tmp_path):
    root = tmp_path / "cache"
    (root / "real").mkdir(parents=True)
    for index in range(3):
        (root / "real" / f"{index}.mp4").touch()
    (tmp_path / "fetch").mkdir()
    source = {"root": str(root), "handle": "owner/slug/versions/3", "files": 3}
    (tmp_path / "fetch" / "source.json").write_text(json.dumps(source))
    fetched = Artifact(stage="fetch", path="fetch", files={}, inputs={})
    assert fetched_root(fetched, Workspace(tmp_path)) == root
    (root / "real" / "1.mp4").unlink()
    with pytest.raises(DownloadError, match=r"holds 2 of 3 files: remove .*cache and .*fetch to download it"):
        fetched_root(fetched, Workspace(tmp_path))
