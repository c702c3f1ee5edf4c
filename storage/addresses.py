"""Places by address, like s3://bucket/folder: which there are, how they are opened, and what their failures say."""

import errno
import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fsspec

from storage.workspace import FULL


class AddressError(ValueError):
    """An address cannot be used; the message says why, and the way out."""


class StoreError(RuntimeError):
    """A store failed; the message says what was kept, and the way out."""


@dataclass(frozen=True)
class _Scheme:
    """What serves the addresses of a scheme."""

    package: str
    extra: str
    errors: tuple[str, ...]
    """What it raises beside OSError."""


SCHEMES = {
    "s3": _Scheme("s3fs", "s3", ("botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError")),
    "gs": _Scheme("gcsfs", "gcs", ("gcsfs.retry.HttpError", "google.auth.exceptions.GoogleAuthError")),
    "az": _Scheme("adlfs", "azure", ("azure.core.exceptions.AzureError",)),
}
SHAPE = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<path>(/[^/?#]+)*)/?")


def is_address(name: str) -> bool:
    """Whether a name is an address rather than a path."""
    return "://" in name


@dataclass(frozen=True)
class Address:
    """A folder of a bucket (S3, Google Cloud Storage) or of a container (Azure)."""

    text: str
    """Without a slash at its end."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Raises AddressError for an unknown scheme, and for an address with anything but a bucket and a folder in it."""
        scheme = text.partition("://")[0]
        known = ", ".join(f"{name}://" for name in SCHEMES)
        if scheme not in SCHEMES:
            message = f"{scheme}:// is not served: expected a path, or an address that begins with {known}"
            raise AddressError(message)
        found = SHAPE.fullmatch(text)
        if found is None or {".", ".."} & set(found["path"].split("/")):
            # The text is not repeated: what does not belong here may be a secret.
            message = (
                f"an address is {scheme}://bucket/folder, without user, password, query or `..`: credentials and endpoints come from the "
                "environment, or the files that the store's own tools read"
            )
            raise AddressError(message)
        return cls(text.rstrip("/"))

    def __str__(self) -> str:
        return self.text

    @property
    def path(self) -> str:
        """What the file system calls it."""
        return self.text.partition("://")[2]

    @property
    def name(self) -> str:
        """Its last part."""
        return self.path.rpartition("/")[2]

    def file_system(self) -> Any:
        """The file system of fsspec, which keeps no listings: others write there too. Raises AddressError without its package."""
        scheme = self._scheme
        try:
            return fsspec.filesystem(self.text.partition("://")[0], use_listings_cache=False)
        except ImportError as error:
            message = (
                f"{self} needs {scheme.package}: install fourier-deepfake with its extra [{scheme.extra}]"
            )
            raise AddressError(message) from error

    @contextmanager
    def failures(
        self, kept: str = "nothing is lost, run again when it answers", *, file: str | None = None
    ) -> Iterator[None]:
        """Turn what the store's package raises into one message; `kept` says what became of the work.

        Where the block is about one `file`, that it is gone is a FileNotFoundError as on a disk. Else raises AddressError where the place is not there or not allowed, StoreError for anything else that the store does.
        """
        try:
            yield
        except self._errors() as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            said = " ".join(str(error).split()) or "no answer"
            if isinstance(error, PermissionError) or "Credential" in type(error).__name__:
                message = (
                    f"{self} refuses access ({said}): credentials come from the environment, or the files that {self._scheme.package} reads; "
                    "they must allow to list, read and, for a workspace, to write and delete"
                )
                raise AddressError(message) from error
            if isinstance(error, FileNotFoundError) and file is not None:
                raise FileNotFoundError(errno.ENOENT, "is gone from the store", f"{self}/{file}") from error
            if isinstance(error, FileNotFoundError):
                message = f"{self} is not there ({said}): make the bucket, or correct the address"
                raise AddressError(message) from error
            message = f"{self} failed ({type(error).__name__}: {said}): {kept}"
            raise StoreError(message) from error

    @property
    def _scheme(self) -> _Scheme:
        return SCHEMES[self.text.partition("://")[0]]

    def _errors(self) -> tuple[type[BaseException], ...]:
        found: list[type[BaseException]] = [OSError]
        for name in self._scheme.errors:
            module, _, error = name.rpartition(".")
            found.append(getattr(importlib.import_module(module), error))
        return tuple(found)
