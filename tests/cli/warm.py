"""A warm `tithe`: a process that has imported everything and forks for each command.

Importing takes longer than most commands do. A fork runs the installed script itself, in a session of its
own, with the arguments, environment, folder and descriptors of the request. Run as a program this is the
server, which ends when its standard input does.
"""

import fcntl
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

TITHE = Path(sys.executable).with_name("tithe")
LONGEST = 1 << 17
"""Bytes of a request; the kernel keeps its ends apart."""
MOST_DESCRIPTORS = 16
ASIDE = 100
"""Descriptors from here on are in nobody's way."""


class WarmTithe:
    """The client's side: starts the server with its first command."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._socket = os.path.join(self._folder.name, "socket")  # noqa: PTH118
        self._server: subprocess.Popen[bytes] | None = None

    def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        descriptors: Mapping[int, int],
        timeout: float,
    ) -> int:
        """Run a command to its end; its exit code. `descriptors`: the number the command sees, ours.

        Raises TimeoutError, having killed it.
        """
        if self._server is None:
            self._start()
        request = [str(TITHE), *arguments], str(folder), dict(environment), list(descriptors)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(self._socket)
            socket.send_fds(connection, [json.dumps(request).encode()], list(descriptors.values()))
            connection.settimeout(timeout)
            pid = int(connection.recv(32))
            try:
                return int(connection.recv(32))
            except TimeoutError:
                os.killpg(pid, signal.SIGKILL)
                raise

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.communicate()
        self._folder.cleanup()

    def _start(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__, self._socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._server.stdout is not None
        assert self._server.stdout.read(1), "the warm tithe does not start"


def serve(path: str) -> list[str]:
    """Serve until standard input ends; in a fork return the command's arguments, ready to be run."""
    for package in ("payments", "settlement", "node"):
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if module.name != "settlement.embedded_chain":  # py-evm takes a second, and no command needs it
                import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for the commands
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    os.write(1, b"!")
    while listener.fileno() in select.select([listener.fileno(), 0], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return attend(connection)
        connection.close()
    sys.exit()


def attend(connection: socket.socket) -> list[str]:
    """Fork the command, say its process id and then its exit code; return in the command only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, received, _, _ = socket.recv_fds(connection, LONGEST, MOST_DESCRIPTORS)
    arguments, folder, environment, numbers = json.loads(message)
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.setsid()
        become(folder, environment, dict(zip(numbers, received, strict=True)))
        return [str(argument) for argument in arguments]
    connection.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(folder: str, environment: Mapping[str, str], descriptors: Mapping[int, int]) -> None:
    """Take over a folder, an environment and descriptors, as exec would."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    aside = {number: fcntl.fcntl(ours, fcntl.F_DUPFD, ASIDE) for number, ours in descriptors.items()}
    for number, ours in aside.items():
        os.dup2(ours, number)
        os.close(ours)


def run(arguments: list[str]) -> NoReturn:
    """Run the script; to take all modules down again would take longer than it did."""
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run(serve(sys.argv[1]))
