"""What it costs to list, join, split and read many videos: time and peak memory of each step, without decoding.

The data set is made up: `--videos` files of a few bytes, each with content of its own, a quarter of them real, in folders `real/NNN` and
`fake/METHOD/NNN`; and for each an extraction of `--frames` frames that never were (a thousand records stand for all of them). Everything else is what `prepare` does,
by the stages' own keys, functions and fingerprints, in one process. Peak memory is that of the process (Linux).

Example: python -m benchmarks.manifest --videos 1000000 --json manifest.json
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.pairs import machine, markdown
from benchmarks.peaks import Cost, measured
from flows.config import load_settings
from flows.prepare import ExtractionCalls
from storage.layouts.base import DataSetSettings
from storage.manifest import VIDEO_SCHEMA, read_table
from storage.workspace import Workspace
from tasks.audit import face_heights
from tasks.catalogue import CATALOGUE, list_data_set, name_apart, readable_videos, require_labels
from tasks.manifest import MANIFEST
from tasks.reading import ExtractedFrame, Extraction
from tasks.split import SPLIT, require_protocol
from tasks.stage import Made, Mapped

METHODS = ("FaceSwap", "Deepfakes", "NeuralTextures")
FOLDER_SIZE = 1000
RECORDS = 1000


def make_up(root: Path, videos: int) -> None:
    """Write `videos` files: of each four with one number one is real and three are fakes, by one method each."""
    kinds = ("real", *(f"fake/{method}" for method in METHODS))
    for number in range(videos):
        kind, own = kinds[number % len(kinds)], number // len(kinds)
        folder = root / kind / f"{own // FOLDER_SIZE:03d}"
        if own % FOLDER_SIZE == 0:
            folder.mkdir(parents=True)
        (folder / f"clip{own:06d}.mp4").write_bytes(b"%d" % number)


def make_up_extractions(workspace: Workspace, frames: int) -> list[Made]:
    """Records of extraction that name frames which are not there."""
    made = []
    for number in range(RECORDS):
        listed = [
            ExtractedFrame(
                frame_index=index * 9,
                timestamp_s=index * 0.36,
                path=f"{index * 9:06d}.jpg",
                face_box={"x": 80, "y": 60, "width": 120, "height": 140},
                face_score=0.99,
            )
            for index in range(frames)
        ]
        record = Extraction(
            width=640, height=360, fps=25.0, duration_s=11.5, codec="h264", has_audio=False, frames_expected=frames, frames_extracted=frames, frames=listed
        )  # fmt: skip
        path = f"extract/{number:032x}"
        folder = workspace.root / path
        folder.mkdir(parents=True)
        (folder / "extraction.json").write_text(record.model_dump_json(), "utf-8")
        made.append(Made(path, f"{number:032x}"))
    return made


def measure(root: Path, workspace: Workspace, made: list[Made]) -> dict[str, Cost]:
    """The steps of `prepare` on the data set at `root`, and reading what they leave."""
    found: dict[str, Cost] = {}
    settings = load_settings(None, None, [], [])
    with measured("imports", found):
        pass
    with measured("list and fingerprint", found):
        catalogues = name_apart([list_data_set(DataSetSettings(uri=str(root)), root)])
    with measured("check", found):
        require_labels(catalogues)
        require_protocol(readable_videos(catalogues), settings.split)
    with measured("catalogue", found):
        catalogue = CATALOGUE.execute(workspace, {"data_sets": catalogues, "group_by": "clip"})
    with measured("calls of the extraction", found):
        names = enumerate(name for name, _ in ExtractionCalls(catalogues, settings).items())
        extracted = Mapped(artifacts={name: made[number % len(made)] for number, name in names})
    with measured("manifest", found):
        manifest = MANIFEST.execute(workspace, {"catalogue": catalogue, "extracted": extracted})
    del catalogues, extracted
    with measured("split", found):
        split = SPLIT.execute(workspace, {"manifest": manifest, "settings": settings.split, "seed": 0})
    folder = split.folder(workspace)
    with measured("read the table of videos", found):
        read_table(folder / "videos.parquet", VIDEO_SCHEMA)
    with measured("read the faces of all frames", found):
        face_heights(folder / "frames.parquet")
    frames = pq.ParquetFile(folder / "frames.parquet")
    with measured(f"read the table of {frames.metadata.num_rows} frames in batches", found):
        sum(batch.num_rows for batch in frames.iter_batches())
    return found


def main() -> None:
    """Measure, print a table, and write JSON on request."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--frames", type=int, default=32, help="of a video (default: %(default)s)")
    parser.add_argument(
        "--root", type=Path, help="a data set of an earlier call, or where to make it and keep it"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = asked.root or Path(name) / "set"
        if not root.exists():
            make_up(root, asked.videos)
        workspace = Workspace(Path(name) / "workspace").prepare()
        found = measure(root, workspace, make_up_extractions(workspace, asked.frames))
    lines = [
        (step, f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}", f"{one.peak_mb:.0f}")
        for step, one in found.items()
    ]
    print(f"{asked.videos} videos of {asked.frames} frames\n")
    print(markdown(("step", "seconds", "of them processor", "peak of memory, MB"), lines))
    if asked.json:
        content: dict[str, Any] = {
            "videos": asked.videos,
            "machine": machine(),
            "steps": {step: asdict(one) for step, one in found.items()},
        }
        asked.json.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
