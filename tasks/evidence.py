"""The evidence behind judgements, as one self-contained page: what was said of each clip, and what it rests on."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from markupsafe import Markup

from tasks.bundle import LIMITS, NETWORKS, trained_on_sample_only
from tasks.clip_evidence import Bands, NoEvidence, gather_clip
from tasks.detect import Detector
from tasks.judgement import Judgement
from tasks.judgement_files import require_place
from tasks.report.page import environment, policy
from tasks.spectral_bands import FRAMES, read_bands

Write = Callable[[Judgement], None]

PAGE, SECTION = "evidence/page.html.j2", "evidence/section.html.j2"
CHUNK = 1 << 20  # characters


class EvidenceError(ValueError):
    """There can be no page of evidence; the message says why, and what would help."""


def write_report(
    path: Path,
    detector: Detector,
    judgements: Iterable[Judgement],
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the page of evidence behind judgements by `detector` to `path`: whole, or not at all.

    The files that were judged are read again at their `path`; `names` says what the page calls them instead, by that path. A file that is no longer what was judged
    keeps its verdict, and the page says why there is no evidence. Raises like `evidence_file`.
    """
    with evidence_file(path, detector, names) as write:
        for judged in judgements:
            write(judged)


@contextmanager
def evidence_file(path: Path, detector: Detector, names: Mapping[str, str] | None = None) -> Iterator[Write]:
    """What adds judgements by `detector` to a page of evidence at `path`, which is there, whole, as the block ends, and not at all where it raises.

    A judgement takes as much memory as its clip: sections wait on disk, in a file without a name, of which nothing stays behind. Raises OutputError for a name that does not end in .html
    or a folder that cannot be written to, and EvidenceError for a detector without `model.keras`.
    """
    require_place(path, "--report", (".html", ".htm"))
    if not (Path(detector.model.root) / "model.keras").is_file():
        message = f"--report {path}: evidence needs a detector's folder with model.keras, which {detector.model.root} does not hold: name the folder that `run --json` prints as `model`"
        raise EvidenceError(message)
    pages, started = environment(), datetime.now().astimezone()
    bands = read_bands(Path(detector.model.root))
    listed: list[dict[str, Any]] = []
    with tempfile.TemporaryFile(
        "w+", dir=path.parent, encoding="utf-8", errors="backslashreplace", newline=""
    ) as sections:

        def write(judged: Judgement) -> None:
            told = _told(judged, len(listed) + 1, names or {}, detector, bands)
            listed.append(_row(told))
            sections.writelines(pages.get_template(SECTION).generate(told))

        yield write
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            partial = Path(folder) / path.name
            page = pages.get_template(PAGE).stream(
                policy=policy(),
                started=started,
                detector=_detector(detector),
                listed=listed,
                sections=_chunks(sections),
            )
            page.dump(str(partial), encoding="utf-8", errors="backslashreplace")
            partial.replace(path)


def _chunks(file: IO[str]) -> Iterator[Markup]:
    """What stands in a file of finished sections, bit by bit."""
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield Markup(chunk)


def _detector(detector: Detector) -> dict[str, Any]:
    """What the head of the page says of the detector."""
    record = detector.model.record()
    return {
        "record": record,
        "digest": detector.model.digest,
        "settings": detector.settings,
        "uncertain": detector.scale.uncertain,
        "pooling": detector.scale.pooling.words,
        "temporal": (Path(detector.model.root) / NETWORKS[1]).is_file(),
        "blends": record["configuration"].get("train", {}).get("fakes", "given") != "given",
        "limits": LIMITS,
        "sample_only": trained_on_sample_only(record["data"]),
        "spectrum_frames": FRAMES,
    }


def _told(
    judged: Judgement, number: int, names: Mapping[str, str], detector: Detector, bands: Bands | None
) -> dict[str, Any]:
    """What a section of the page shows."""
    found, missing = None, None
    if judged.status == "scored":
        try:
            found = gather_clip(judged, detector, bands)
        except NoEvidence as reason:
            missing = str(reason)
    return {
        "number": number,
        "name": names.get(judged.path, judged.path),
        "said": judged.verdict or judged.status,
        "judged": judged,
        "scale": detector.scale,
        "bands": bands,
        "found": found,
        "missing": missing,
    }


def _row(told: dict[str, Any]) -> dict[str, Any]:
    """What the list of all files shows of a section."""
    judged: Judgement = told["judged"]
    count = len(judged.warnings)
    counted = f"{count} warning{'s' if count > 1 else ''}" if count else ""
    return {name: told[name] for name in ("number", "name", "said")} | {
        "probability": judged.probability_fake,
        "interval": judged.interval,
        "remark": judged.reason if judged.status != "scored" else counted,
    }
