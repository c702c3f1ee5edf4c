"""Layouts of data sets on disk, one small adapter each; the first that recognises itself reads."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from storage.layouts.base import (
    DataSetError,
    Grouping,
    Layout,
    Listing,
    SourceVideo,
    read_tree,
    refused_videos,
)
from storage.layouts.celeb_df import CelebDf
from storage.layouts.dfdc import Dfdc
from storage.layouts.folders import ClassFolders, nothing_found
from storage.layouts.pairs import PairTable
from storage.layouts.table import Table

LAYOUTS: tuple[Layout, ...] = (PairTable(), Table(), Dfdc(), CelebDf(), ClassFolders())
LABELS = {"real": 0, "fake": 1}


def read_layout(
    path: Path, grouping: Grouping = "auto", label: Literal["real", "fake"] | None = None
) -> Listing:
    """Read the data set at `path`, a folder or a table.

    `grouping` says which loose images make a video, `label` is that of everything in it and overrules what is found.
    Raises DataSetError where there is nothing to read, or nothing with a label.
    """
    tree = read_tree(path)
    listing = next((layout.read(tree, grouping) for layout in LAYOUTS if layout.recognise(tree)), None)
    if listing is not None:
        listing = _with_links(listing, {video.path: video for video in refused_videos(tree.refused)})
    if listing is None or not listing.videos:
        raise nothing_found(tree)
    if label is not None:
        videos = tuple(
            replace(
                video,
                label=LABELS[label],
                label_source="configuration",
                reason=video.reason if video.missing else None,
            )
            for video in listing.videos
        )
        return replace(listing, videos=videos)
    if all(video.label is None for video in listing.videos):
        first = listing.videos[0]
        message = (
            f"no video of {path} has a label; first {first.path}: {first.reason}. Put the videos into folders real/ and fake/, "
            "write a table with the columns path and label, or set the label of the whole data set in the configuration"
        )
        raise DataSetError(message)
    return listing


def _with_links(listing: Listing, links: dict[str, SourceVideo]) -> Listing:
    """The listing with a row for each link that leaves the root; one that it names already gets the reason."""
    videos = [
        replace(video, reason=links.pop(video.path).reason) if video.path in links else video
        for video in listing.videos
    ]
    return replace(listing, videos=(*videos, *links.values()))
