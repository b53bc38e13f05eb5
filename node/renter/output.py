"""Where a file that is read back goes: nothing stands under its name before it is whole and checked.

Until then it is a part, a hidden file beside it that is named by what is read. It holds plaintext from the
beginning, verified before it was written, so a get that was interrupted goes on where its part ends. A get
that fails removes it.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from settlement.files import sync_folder

_READ_SIZE: Final = 1 << 20


class Output(Protocol):
    """Takes the plaintext in order, then is committed, discarded, or kept for the next time."""

    @property
    def kept(self) -> int:
        """Bytes that are there from before."""
        ...

    def replay(self) -> Iterator[bytes]:
        """Read what is there from before. Raises OSError."""
        ...

    def restart(self) -> None:
        """Begin anew. Raises OSError."""
        ...

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        ...

    def commit(self) -> None:
        """Let the file appear, whole and durable. Raises OSError."""
        ...

    def keep(self) -> None:
        """Let what has come be found the next time."""
        ...

    def discard(self) -> None:
        """Leave nothing behind, unless it was committed or kept."""
        ...


class FileOutput:
    """A file at a path; one that is there stays until the new one is whole.

    `content` names what is read: a part of the same content is gone on with, unless somebody else writes it.
    None: there is nothing to go on with.
    """

    def __init__(self, path: Path, content: bytes | None = None) -> None:
        """Begin to write, or go on. Raises OSError."""
        self._path = path
        self._part, self._file = _open_part(path.parent, content)
        self.kept = self._file.seek(0, os.SEEK_END)

    def replay(self) -> Iterator[bytes]:
        """Read what is there from before; the next bytes go after it."""
        self._file.seek(0)
        left = self.kept
        while chunk := self._file.read(min(_READ_SIZE, left)):
            left -= len(chunk)
            yield chunk

    def restart(self) -> None:
        """Throw away what is there."""
        self._file.seek(0)
        self._file.truncate()
        self.kept = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        self._file.write(chunk)

    def commit(self) -> None:
        """Let the file appear under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self._path)
        self._file.close()
        sync_folder(self._path.parent)

    def keep(self) -> None:
        """Leave the part, if there is anything in it."""
        with suppress(OSError):
            self._file.flush()
            if os.fstat(self._file.fileno()).st_size:
                self._file.close()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file.closed:
            return
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


class StreamOutput:
    """A stream such as stdout: what was written cannot be taken back, so heed the error that follows."""

    kept = 0

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def replay(self) -> Iterator[bytes]:
        """Nothing is there from before."""
        return iter(())

    def restart(self) -> None:
        """Nothing can be done."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        self._stream.write(chunk)

    def commit(self) -> None:
        """Flush."""
        self._stream.flush()

    def keep(self) -> None:
        """Nothing can be done."""

    def discard(self) -> None:
        """Nothing can be done."""


def open_output(out: Path | BinaryIO, content: bytes | None = None) -> Output:
    """Open a path or stream for writing; `content` as in FileOutput. Raises OSError."""
    return FileOutput(out, content) if isinstance(out, Path) else StreamOutput(out)


def _open_part(folder: Path, content: bytes | None) -> tuple[Path, BinaryIO]:
    """Open the part of this content, alone; a new one with a name of its own where that is not possible."""
    if content is not None:
        part = folder / f".tithe-{content.hex()}.part"
        with suppress(BlockingIOError, _NotOurs):
            return part, _open_locked(part)
    part = folder / f".tithe-{secrets.token_hex(16)}.part"
    return part, part.open("x+b")


class _NotOurs(OSError):
    """Somebody else has put a file, or a link, where our part would be."""


def _open_locked(part: Path) -> BinaryIO:
    """Open a part and lock it (flock). Raises BlockingIOError, _NotOurs, OSError."""
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _NotOurs from error
    file = os.fdopen(descriptor, "r+b")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_uid != os.geteuid():
            raise _NotOurs
        if not part.exists() or part.stat().st_ino != os.fstat(descriptor).st_ino:
            raise _NotOurs  # whoever had it has just finished
    except OSError:
        file.close()
        raise
    return file
