"""An Aside: a folder where shards are put aside instead of being removed at once, by the day they came.

The trash of a farmer is one, its quarantine another. A shard gets there by a rename, and lies at
DAY/LAST BYTE OF ITS NAME/NAME, DAY being whole days since 1970: what is oldest goes first without a database,
no folder grows without bounds, and nothing here is mistaken for a shard that is kept.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from settlement.files import sync_folder

DAY: Final = 86_400
MODE: Final = 0o700


@dataclass(frozen=True, slots=True)
class Sum:
    """How many shards, and their bytes."""

    shards: int = 0
    bytes: int = 0

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.shards + other.shards, self.bytes + other.bytes)


@dataclass(frozen=True, slots=True)
class Found:
    """A shard that was put aside: its name, the day it came, where it is."""

    name: bytes
    day: int
    path: Path


class Aside:
    """One such folder; it is made when something is put there. Methods raise OSError as the system does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._sum = Sum()

    @property
    def total(self) -> Sum:
        """What lies here, as of the last `count` and what came and went since."""
        return self._sum

    def count(self) -> Sum:
        """Look at every file."""
        with self._lock:
            self._sum = sum(self._by_day().values(), Sum())
            return self._sum

    def by_day(self) -> dict[int, Sum]:
        """What came on which day, the oldest first."""
        with self._lock:
            return self._by_day()

    def take(self, file: Path, name: bytes, now: int) -> None:
        """Put a file aside; one that is not there is fine. What a crash undoes can be done again."""
        target = self._path(now // DAY, name)
        with self._lock, suppress(FileNotFoundError):
            size = file.stat().st_size
            if not target.parent.is_dir():
                target.parent.mkdir(mode=MODE, parents=True, exist_ok=True)
            before = _size(target)
            file.rename(target)
            self._sum += Sum(int(before is None), size - (before or 0))

    def find(self, name: bytes) -> Found | None:
        """Return where a shard is, the youngest of several."""
        for day in sorted(self._days(), reverse=True):
            path = self._path(day, name)
            if path.is_file():
                return Found(name, day, path)
        return None

    def shards(self) -> Iterator[Found]:
        """All of them, the oldest day first."""
        for day in sorted(self._days()):
            for path in self._files(day):
                with suppress(ValueError):
                    yield Found(bytes.fromhex(path.name), day, path)

    def give_back(self, found: Found, to: Path) -> bool:
        """Move a shard into a folder that exists, durable when this returns; whether it was still there."""
        with self._lock:
            size = _size(found.path)
            if size is None:
                return False
            found.path.rename(to)
            sync_folder(to.parent)
            self._sum += Sum(-1, -size)
        return True

    def empty(self, now: int, seconds: int) -> Sum:
        """Remove what has been here for at least `seconds`; how much that was."""
        removed = Sum()
        for day in sorted(self._days()):
            if (day + 1) * DAY + seconds > now:  # what came at the end of its day has not
                break
            removed += self._remove(day, None)
        return removed

    def make_room(self, room: int) -> Sum:
        """Remove at least `room` bytes, the oldest day first, or all there is; how much that was."""
        removed = Sum()
        for day in sorted(self._days()):
            if removed.bytes >= room:
                break
            removed += self._remove(day, room - removed.bytes)
        return removed

    def _remove(self, day: int, most: int | None) -> Sum:
        """Remove the files of a day until `most` bytes are free, and its folders where nothing is left."""
        removed = Sum()
        with self._lock:
            for path in self._files(day):
                if most is not None and removed.bytes >= most:
                    break
                removed += Sum(1, _size(path) or 0)
                path.unlink(missing_ok=True)
            self._sum += Sum(-removed.shards, -removed.bytes)
            for folder in (*(self.folder / str(day)).iterdir(), self.folder / str(day)):
                with suppress(OSError):  # not empty
                    folder.rmdir()
        return removed

    def _by_day(self) -> dict[int, Sum]:
        found = {}
        for day in sorted(self._days()):
            sizes = [size for path in self._files(day) if (size := _size(path)) is not None]
            found[day] = Sum(len(sizes), sum(sizes))
        return found

    def _path(self, day: int, name: bytes) -> Path:
        text = name.hex()
        return self.folder / str(day) / text[-2:] / text

    def _days(self) -> list[int]:
        try:
            return [int(name) for name in os.listdir(self.folder) if name.isdecimal()]  # noqa: PTH208 - names only
        except FileNotFoundError:
            return []

    def _files(self, day: int) -> Iterator[Path]:
        folder = self.folder / str(day)
        for sub in sorted(folder.iterdir()) if folder.is_dir() else ():
            for name in os.listdir(sub):  # noqa: PTH208 - there may be thousands
                yield sub / name


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
