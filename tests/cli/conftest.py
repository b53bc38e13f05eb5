"""Runs the installed `tithe` as a user would: its own process, its own home, no terminal unless asked for.

Commands are forked from a warm one; at a terminal, and where a test starts a process itself, it starts cold.
"""

import atexit
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from node.key_file import create_master_key
from node.master_key import LEAST_COST
from settlement.wallet import LIGHT_SCRYPT_N, Wallets, new_key
from tests.cli.warm import TITHE, WarmTithe

WARM = WarmTithe()
atexit.register(WARM.close)
PASSWORD = "correct horse battery"
FARMERS = 3


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command says
        """Stdout as the one JSON document it must be."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line of stderr that tells what went wrong; notes may stand before it."""
        *notes, line = self.err.splitlines()
        assert line.startswith("tithe: "), self.err
        assert not any(note.startswith(("tithe: ", "Traceback")) for note in notes), self.err
        return line


class Tithe:
    """The command, with one TITHE_HOME."""

    def __init__(self, folder: Path, name: str = "home") -> None:
        self.folder = folder
        self.home = folder / name
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD + "\n")

    @property
    def environment(self) -> dict[str, str]:
        """What the command sees. TITHE_PASSWORD_FILE is set: tests of passwords take it away."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TITHE_HOME": str(self.home),
            "TITHE_PASSWORD_FILE": str(self.password_file),
            "TITHE_TOOLS": os.environ.get("TITHE_TOOLS", ""),
        }

    def __call__(
        self,
        *arguments: str | Path,
        expect: int = 0,
        env: Mapping[str, str | None] | None = None,
        stdin: str | None = None,
        pass_fds: Sequence[int] = (),
        timeout: int = 120,
    ) -> Done:
        """Run to the end; the exit code must be the expected one."""
        environment = {**self.environment, **(env or {})}
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write((stdin or "").encode())
            given.seek(0)
            code = WARM.run(
                [str(argument) for argument in arguments],
                folder=self.folder,
                environment={key: value for key, value in environment.items() if value is not None},
                descriptors={
                    0: given.fileno(),
                    1: out.fileno(),
                    2: err.fileno(),
                    **{fd: fd for fd in pass_fds},
                },
                timeout=timeout,
            )
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode())
        assert code == expect, f"exit {code}\n{said[0]}\n{said[1]}"
        return Done(code, *said)

    def at_terminal(self, *arguments: str, answers: Sequence[tuple[str, str]], expect: int = 0) -> str:
        """Run at a terminal of its own, answer each prompt as it appears; return what was on the screen."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [TITHE, *arguments],
            cwd=self.folder,
            env={**self.environment, "TERM": "xterm", "TITHE_PASSWORD_FILE": ""},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one system call
        )
        os.close(theirs)
        screen = ""
        try:
            for prompt, answer in answers:
                seen = len(screen)
                while prompt not in screen[seen:]:
                    assert select.select([ours], [], [], 30)[0], f"no {prompt!r} on the screen:\n{screen}"
                    screen += os.read(ours, 4096).decode()
                os.write(ours, answer.encode() + b"\n")
            with contextlib.suppress(OSError):  # the terminal ends with the process
                while data := os.read(ours, 4096):
                    screen += data.decode()
            code = process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        assert code == expect, f"exit {code}\n{screen}"
        return screen

    def another(self, name: str) -> "Tithe":
        """The same command with another home."""
        return Tithe(self.folder, name)


@pytest.fixture
def tithe(tmp_path: Path) -> Tithe:
    return Tithe(tmp_path)


def make_wallet(tithe: Tithe, name: str = "main") -> bytes:
    """Put a wallet with a cheaply checked password into the home by the library; return its address."""
    folder = tithe.home / "wallets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = new_key()
    Wallets(folder).save(name, key, PASSWORD, scrypt_n=LIGHT_SCRYPT_N)
    return key.address


def make_farm_key(tithe: Tithe) -> None:
    """Put a gas key with a cheaply checked password into the home; `farm init` keeps it."""
    folder = tithe.home / "farm"
    folder.mkdir(mode=0o700, parents=True)
    Wallets(folder).save("gas", new_key(), PASSWORD, scrypt_n=LIGHT_SCRYPT_N)


def make_tower_key(tithe: Tithe) -> None:
    """Put a watchtower's gas key with a cheaply checked password into the home."""
    folder = tithe.home / "tower"
    folder.mkdir(mode=0o700, parents=True)
    Wallets(folder).save("gas", new_key(), PASSWORD, scrypt_n=LIGHT_SCRYPT_N)


def make_renter(tithe: Tithe) -> None:
    """Put a renter's keys with a cheaply checked password into the home."""
    folder = tithe.home / "renter"
    folder.mkdir(mode=0o700, parents=True)
    Wallets(folder).save("signer", new_key(), PASSWORD, scrypt_n=LIGHT_SCRYPT_N)
    create_master_key(folder / "master.key", PASSWORD, LEAST_COST)


@pytest.fixture
def quick_wallet(tithe: Tithe) -> Callable[[str], bytes]:
    return partial(make_wallet, tithe)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tithe]:
    """A home with a wallet, on a running Anvil of its own with the contracts; tests leave it usable."""
    tithe = Tithe(tmp_path_factory.mktemp("local"))
    make_wallet(tithe)
    tithe("chain", "up", "--port", "0", "--detach", "--block-time", "0.1")
    try:
        tithe("chain", "deploy")
        yield tithe
    finally:
        tithe("chain", "down")


class Farm:
    """A farmer with a home of its own, running as `tithe farm run`."""

    def __init__(self, tithe: Tithe) -> None:
        self.tithe = tithe
        self.log = tithe.folder / f"{tithe.home.name}.log"
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> dict[str, Any]:
        """Run it; what it says of itself once it listens."""
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [TITHE, "farm", "run", "--json", *options],
                env=self.tithe.environment,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        told = ""
        while not told.endswith("}\n"):
            line = self._process.stdout.readline()
            assert line, self.log.read_text()
            told += line
        said: dict[str, Any] = json.loads(told)
        self.url = said["url"]
        return said

    def stop(self) -> int:
        """Stop it as its owner would, by Ctrl-C; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGINT)
        return self._end(30)

    def kill(self) -> None:
        """End it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._end(30)

    def _end(self, seconds: float) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        try:
            return process.wait(seconds)
        finally:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Market:
    """A renter's home that knows some farmers, all on one local chain."""

    renter: Tithe
    farms: tuple[Farm, ...]


@pytest.fixture(scope="module")
def market(local: Tithe) -> Iterator[Market]:
    """The home of `local` as a renter, and farmers that run; nothing is funded."""
    make_renter(local)
    farms = tuple(Farm(local.another(f"farm{number}")) for number in range(FARMERS))

    def open_farm(farm: Farm) -> None:
        make_wallet(farm.tithe)
        make_farm_key(farm.tithe)
        farm.tithe("farm", "init", "--join", local.home, "--port", "0")
        farm.start()

    try:
        with ThreadPoolExecutor(FARMERS) as pool:
            list(pool.map(open_farm, farms))
        local("peers", "add", *(farm.url for farm in farms))
        yield Market(local, farms)
    finally:
        for farm in farms:
            farm.kill()
