"""WildDeepfake: face sequences from the internet, in four folders of numbered archives."""

from collections import defaultdict
from collections.abc import Mapping

from storage.layouts.base import LayoutName, Listing, Recognised, SourceVideo, Tree, folders_of, is_image

FOLDERS = {
    "real_train": (0, "train"),
    "fake_train": (1, "train"),
    "real_test": (0, "test"),
    "fake_test": (1, "test"),
}
UNPACKED = "extracted"


class WildDeepfake:
    """Labels and official splits from `real_train`, `fake_train`, `real_test` and `fake_test`.

    A folder that holds images is a video. Sequences of one archive (`real_train/1/...`) are one group; the archives of
    another folder have the same numbers and nothing to do with it.
    """

    name: LayoutName = "WildDeepfake"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By a folder of each class with images in numbered archives."""
        sequences: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in tree.files:
            group = _group(name)
            if group is not None:
                sequences[name.rpartition("/")[0], group].append(name)
        found = {group.partition("/")[0] for _, group in sequences}
        if {FOLDERS[folder][0] for folder in found} != {0, 1}:
            return None
        why = f"folders {', '.join(sorted(found))} of numbered archives"
        return Recognised(why, lambda _: self._read(why, sequences))

    def _read(self, why: str, sequences: Mapping[tuple[str, str], list[str]]) -> Listing:
        """A video for each folder of images."""
        videos = tuple(_video(path, group, files) for (path, group), files in sequences.items())
        return Listing(self.name, why, videos, ("its images are face crops: dataset.content=faces is right",))


def _group(name: str) -> str | None:
    """Folder and archive of an image, like `real_train/1`; None for any other file."""
    if not is_image(name):
        return None
    folders = [folder.lower() for folder in folders_of(name)]
    at = next((index for index, folder in enumerate(folders) if folder in FOLDERS), None)
    if at is None:
        return None
    below = folders[at + 1 :]
    archive = below[1:2] if below[:1] == [UNPACKED] else below[:1]
    return f"{folders[at]}/{archive[0]}" if archive and archive[0].isdigit() else None


def _video(path: str, group: str, files: list[str]) -> SourceVideo:
    folder = group.partition("/")[0]
    label, split = FOLDERS[folder]
    return SourceVideo(
        path=path,
        files=tuple(files),
        kind="images",
        group=group,
        label=label,
        label_source=f"folder {folder}",
        official_split=split,
    )
