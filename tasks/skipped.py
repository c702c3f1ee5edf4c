"""A limit to how many videos may be skipped: a run that lost half of its data says so, and ends."""

import math
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq

from storage.manifest import Status

LIMIT = r"^(\d{1,9}|\d{1,3}(\.\d{1,6})?%)$"
"""`5%` or `12`."""
DEFAULT_LIMIT, STRICT = "5%", "0"
SHOWN = 3


class SkipLimitError(ValueError):
    """The limit is none; the message says what was expected."""


class TooManySkippedError(RuntimeError):
    """More videos are skipped than the run may lose; the message says how many, the first reasons, and the way out."""


def most_skipped(limit: str, videos: int) -> int:
    """How many of `videos` a limit allows to skip: `12` that many, `5%` that share of them, rounded down, but one at least; `0%` none.

    Raises SkipLimitError for anything else.
    """
    share = Fraction(limit.removesuffix("%")) / 100 if re.match(LIMIT, limit) else None
    if share is None or (limit.endswith("%") and share > 1):
        message = (
            f"--max-skipped must be a share like 5%, at most 100%, or a number of videos like 12, got {limit}"
        )
        raise SkipLimitError(message)
    if not limit.endswith("%"):
        return int(limit)
    return max(1, math.floor(share * videos)) if share else 0


def require_few_skipped(table: Path, limit: str) -> None:
    """Raise TooManySkippedError where more rows of a table of videos are not `ok` than `limit` allows.

    The table is that of the catalogue, before anything is extracted, or of the manifest: unreadable, unlabelled and without a face all count,
    since none of them is learned from or judged.
    """
    videos = pq.read_metadata(table).num_rows
    skipped = pq.read_table(
        table, columns=["video_id", "status", "reason"], filters=[("status", "!=", Status.OK.value)]
    ).to_pylist()
    most = most_skipped(limit, videos)
    if len(skipped) <= most:
        return
    counts = Counter(row["status"] for row in skipped)
    counted = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    first = "; ".join(f"{row['video_id']}: {row['reason'] or row['status']}" for row in skipped[:SHOWN])
    allowed = "--strict allows none" if limit == STRICT else f"--max-skipped {limit} allows {most}"
    message = (
        f"{len(skipped)} of {videos} videos are skipped ({counted}), and {allowed}. The first: {first}. All of them with their reasons: {table}. "
        f"Mend them or take them out, or allow them with --max-skipped {len(skipped)}; what was extracted is kept"
    )
    raise TooManySkippedError(message)
