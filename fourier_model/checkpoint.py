"""Where a training stands: one file, written whole after each epoch, from which a killed training goes on."""

import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

logger = logging.getLogger(__name__)

Arrays = dict[str, list[np.ndarray]]
FACTS = "facts"


@dataclass(frozen=True)
class Snapshot:
    """A moment of a training."""

    facts: dict[str, Any]
    """What is told in numbers and names, as JSON."""
    arrays: Arrays
    """Values of variables in their order, by what they belong to."""


@dataclass(frozen=True)
class Checkpoint:
    """The newest snapshot of one training, in one file; the caller sees to it that no other training has the same `path`."""

    path: Path

    def write(self, snapshot: Snapshot) -> None:
        """Put the snapshot in the place of the last one: a reader sees the old file or the new one.

        Where the folder is removed meanwhile, nothing is written: its owner no longer needs it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        members: dict[str, Any] = {
            f"{name}/{number}": value
            for name, values in snapshot.arrays.items()
            for number, value in enumerate(values)
        }
        members[FACTS] = np.frombuffer(json.dumps(snapshot.facts).encode(), np.uint8)
        with suppress(FileNotFoundError):
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".", suffix=".npz")
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, **members)
                Path(name).replace(self.path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def read(self) -> Snapshot | None:
        """The newest snapshot; None where there is none, or where the file is damaged, which is said in the log."""
        if not self.path.is_file():
            return None
        try:
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as members:
                facts = json.loads(members[FACTS].tobytes())
                arrays: Arrays = {}
                for member in members.files:
                    if member != FACTS:  # they come in the order they were written in
                        arrays.setdefault(member.rpartition("/")[0], []).append(members[member])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("%s cannot be read, training starts from the beginning: %s", self.path, error)
            return None
        return Snapshot(facts, arrays)


def values_of(variables: Iterable[keras.Variable]) -> list[np.ndarray]:
    """Copies of the variables' values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def restore(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    """Give the variables these values, in their order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def shapes(variables: Iterable[keras.Variable]) -> list[list[int]]:
    """The shapes of the variables, as JSON."""
    return [list(variable.shape) for variable in variables]
