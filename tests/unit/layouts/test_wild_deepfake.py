from storage.layouts import read_layout

WILD = (
    "real_train/1/real/0/10.png", "real_train/1/real/0/9.png", "real_train/1/real/1/0.png", "real_test/1/real/0/0.png",
    "fake_train/1/fake/0/0.png", "fake_test/extracted/7/fake/3/0.png", "fake_test/2/0.png",
)  # fmt: skip


def test_a_folder_of_wild_deepfake_is_a_video_whose_frames_are_in_order(tmp_path, tree):
    listing = read_layout(tree(tmp_path, *WILD))
    assert listing.layout == "WildDeepfake"
    rows = {video.path: video for video in listing.videos}
    assert rows["real_train/1/real/0"].files == ("real_train/1/real/0/9.png", "real_train/1/real/0/10.png")
    assert {video.kind for video in listing.videos} == {"images"}
    assert {path: row.label for path, row in rows.items()} == {
        "real_train/1/real/0": 0, "real_train/1/real/1": 0, "real_test/1/real/0": 0,
        "fake_train/1/fake/0": 1, "fake_test/extracted/7/fake/3": 1, "fake_test/2": 1,
    }  # fmt: skip


def test_archives_of_wild_deepfake_with_one_number_are_different_videos(tmp_path, tree):
    listing = read_layout(tree(tmp_path / "real", *(f"data/{name}" for name in WILD)))
    assert {video.path: (video.group, video.official_split) for video in listing.videos} == {
        "data/real_train/1/real/0": ("real_train/1", "train"),
        "data/real_train/1/real/1": ("real_train/1", "train"),
        "data/real_test/1/real/0": ("real_test/1", "test"),
        "data/fake_train/1/fake/0": ("fake_train/1", "train"),
        "data/fake_test/extracted/7/fake/3": ("fake_test/7", "test"),
        "data/fake_test/2": ("fake_test/2", "test"),
    }


def test_folders_like_those_of_wild_deepfake_without_numbered_archives_are_not_taken_for_it(tmp_path, tree):
    names = ("real_train/real/clip/0.png", "fake_train/fake/clip/0.png")
    assert read_layout(tree(tmp_path, *names)).layout == "class folders"
    assert read_layout(tree(tmp_path / "one", "real_train/1/real/0/0.png")).layout == "class folders"
