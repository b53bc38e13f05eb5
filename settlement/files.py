"""Small files written whole or not at all."""

import os
import secrets
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


def write_atomic(path: Path, content: bytes, *, exclusive: bool = False) -> None:
    """Write a file of mode 0600 through a synced temporary; a crash leaves the old file or the new one.

    `exclusive`: FileExistsError when there is a file already. OSError as the system reports it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable what was made, renamed or removed in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
