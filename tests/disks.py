"""Disks that fail, without one: the system refuses what a test wants refused, and allows it again."""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NOBODY: Final = 65_534


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have the system refuse to write beyond so many bytes of any file, to this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def folder_of_ours() -> Iterator[Path]:
    """A new folder that nobody else may write to."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_rights() -> Iterator[None]:
    """Be one who may write nothing that is read-only, as root may."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)


def leave_log(database: Path, statement: str) -> None:
    """Change an SQLite database and die: the change is in its log only, as after a power cut."""
    code = """
import os, signal, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
conn.execute("PRAGMA wal_autocheckpoint=0")
conn.execute(sys.argv[2])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(database), statement], check=False, timeout=60)
    assert database.with_name(f"{database.name}-wal").stat().st_size
