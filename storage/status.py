"""What became of a video."""

from enum import StrEnum


class Status(StrEnum):
    """What became of a video; only `ok` rows are used in training and judgement."""

    OK = "ok"
    UNREADABLE = "unreadable"
    UNLABELLED = "unlabelled"
    NO_FACE = "no_face"
