"""Where a file that is read back goes: nothing is to be seen of it before it is whole and checked.

On Linux it is written without a name and linked when it is done, so that even a killed process leaves
nothing; elsewhere under a temporary name beside its own.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from settlement.files import sync_folder


class Output(Protocol):
    """Takes the plaintext in order, then is committed, or discarded."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        ...

    def commit(self) -> None:
        """Let the file appear, whole and durable. Raises OSError."""
        ...

    def discard(self) -> None:
        """Leave nothing behind, unless it was committed."""
        ...


class FileOutput:
    """A file at a path; one that is there stays until the new one is whole."""

    def __init__(self, path: Path) -> None:
        """Begin to write. Raises OSError."""
        self._path = path
        self._beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.part")
        descriptor = _open_nameless(path.parent)
        self._nameless = descriptor is not None
        self._file = self._beside.open("xb") if descriptor is None else os.fdopen(descriptor, "wb")

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        self._file.write(chunk)

    def commit(self) -> None:
        """Let the file appear under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if not self._nameless or not self._link(self._path):
            if self._nameless:
                self._link(self._beside)
            self._beside.replace(self._path)
        self._file.close()
        sync_folder(self._path.parent)

    def _link(self, path: Path) -> bool:
        """Give the nameless file a name; tell whether the name was free. Raises OSError.

        See open(2), O_TMPFILE. Only with a directory descriptor Python calls linkat, which follows the link.
        """
        descriptors = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.link(str(self._file.fileno()), path, src_dir_fd=descriptors, follow_symlinks=True)
        except FileExistsError:
            return False
        finally:
            os.close(descriptors)
        return True

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._beside.unlink()


class StreamOutput:
    """A stream such as stdout: what was written cannot be taken back, so heed the error that follows."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises OSError."""
        self._stream.write(chunk)

    def commit(self) -> None:
        """Flush."""
        self._stream.flush()

    def discard(self) -> None:
        """Nothing can be done."""


def open_output(out: Path | BinaryIO) -> Output:
    """Open a path or stream for writing. Raises OSError."""
    return FileOutput(out) if isinstance(out, Path) else StreamOutput(out)


def _open_nameless(folder: Path) -> int | None:
    """Open a file that has no name yet; None where the system or file system has no such thing."""
    flag: int | None = getattr(os, "O_TMPFILE", None)
    if flag is None or not Path("/proc/self/fd").is_dir():
        return None
    try:
        return os.open(folder, flag | os.O_RDWR, 0o666)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError:
        return None
