"""A Child: a process of ours that is asked in lines of JSON, on its standard streams, until its input ends.

So it ends with its parent, however that ends. What it logs goes to a file.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
TICKS: Final = os.sysconf("SC_CLK_TCK")
"""Of the processor clock, a second."""
Deed = Callable[..., Awaitable[Mapping[str, Any]]]


class ChildFailed(Exception):
    """A child could not do what it was asked, and said why, or died."""


class Child:
    """A process that runs `module`, told `arguments`."""

    def __init__(self, module: str, log: Path, *arguments: str) -> None:
        self._log = log
        command = [sys.executable, "-m", module, *arguments]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, deed: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Have it do something; what it says. Raises ChildFailed."""
        self.tell(deed, **arguments)
        return self.hear()

    def tell(self, deed: str, **arguments: Any) -> None:  # noqa: ANN401 - JSON
        """Ask, without waiting for the answer."""
        if self._process.stdin is None:
            raise AssertionError
        line = json.dumps({"deed": deed, "arguments": arguments}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError as error:
            raise ChildFailed(self._last_words()) from error

    def hear(self) -> dict[str, Any]:
        """Wait for the answer to what it was told. Raises ChildFailed."""
        if self._process.stdout is None:
            raise AssertionError
        line = self._process.stdout.readline()
        if not line:
            raise ChildFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise ChildFailed(answer["failed"])
        return answer

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self.end()

    def end(self) -> None:
        """Let it end, and wait until it is gone."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"{self._log.name}: {lines[-1] if lines else 'it says nothing'}"


async def serve(deeds: Mapping[str, Deed]) -> None:
    """Do what standard input asks for until it ends. One that fails is answered, too."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        try:
            answer = await deeds[asked["deed"]](**asked["arguments"])
        except Exception as error:  # noqa: BLE001 - the parent decides
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def usage(pids: Iterable[int]) -> float:
    """Seconds of the processor that living processes have used, in all their threads."""
    return sum(_cpu(pid) for pid in pids)


def peak_memory(pid: int) -> int:
    """Bytes of memory a process had at most since the last `forget_peak` (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(pid)


def forget_peak(pid: int) -> None:
    """Let a process's peak begin anew at what it has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 600.0) -> None:
    """Poll until something has become true. Raises ChildFailed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ChildFailed(f"{what} does not happen within {seconds:.0f} s")
        time.sleep(0.1)
