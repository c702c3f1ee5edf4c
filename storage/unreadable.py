"""Content that is not what it is taken for."""

from storage.shards import StoredFile


class Unreadable(ValueError):  # noqa: N818 - it says what the file is
    """The content of a file cannot be read; the message names the file, `reason` alone says why."""

    def __init__(self, path: StoredFile, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"
