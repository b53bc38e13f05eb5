"""Measurement: systems put and read the same files in turn, under one condition after another.

A file is new in every run, so nobody finds it stored already; what comes back is compared byte for byte. In
a network where nodes died or rot, files are read that were put before.
"""

import filecmp
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.storage.child import ChildFailed
from scripts.storage.system import Condition, Done, Meter, System

POOL: Final = 10
"""Files that are read again and again where nodes are dead; each once where they rot, as shards that were
found wrong are not asked for again."""
BLOCK: Final = 1024 * 1024


@dataclass
class Series:
    """One operation of one system on files of one size under one condition, run by run.

    cpu: seconds of the client and of all storing nodes together. peaks: bytes of memory at most, of the
    client and of a storing node. load: of the machine, before the first run (the average over a minute).
    """

    system: str
    operation: str
    size: int
    condition: Condition
    load: float
    k: int = 0
    n: int = 0
    seconds: list[float] = field(default_factory=list)
    cpu: list[tuple[float, float]] = field(default_factory=list)
    peaks: list[tuple[int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Journal:
    """Everything measured so far."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._series: dict[tuple[str, str, int, Condition], Series] = {}
        self._say = say

    @property
    def series(self) -> tuple[Series, ...]:
        """In the order in which they were begun."""
        return tuple(self._series.values())

    def take(
        self, system: System, operation: str, size: int, condition: Condition, work: Callable[[], Done]
    ) -> bool:
        """Run and note something; False when it failed, which is noted too."""
        name = (system.name, operation, size, condition)
        series = self._series.setdefault(name, Series(*name, load=os.getloadavg()[0]))
        meter = Meter(system.crowd)
        try:
            done = work()
        except ChildFailed as failure:
            series.failures.append(str(failure))
            self._say(f"  {system.name} {operation} failed: {failure}")
            return False
        series.k, series.n = done.k, done.n
        series.seconds.append(done.seconds)
        series.cpu.append(meter.cpu)
        series.peaks.append(meter.peaks)
        return True


@dataclass
class Bench:
    """Systems that are measured in turn, in a folder for the files they are given and give back."""

    systems: Sequence[System]
    folder: Path
    journal: Journal
    say: Callable[[str], None]
    _files: int = 0

    def measure(self, condition: Condition, size: int, runs: int) -> None:
        """Put and read `runs` files of `size` bytes under one condition."""
        self.say(f"{condition}: {runs} times {size:,} bytes")
        started = time.monotonic()
        if condition in {Condition.DEAD, Condition.CORRUPT}:
            self._measure_ill(condition, size, runs)
        else:
            with self._suffering(condition):
                self._measure_fresh(condition, size, runs)
        self.say(f"  took {time.monotonic() - started:.0f} s")

    def _measure_fresh(self, condition: Condition, size: int, runs: int) -> None:
        """Each file is put, read and removed again."""
        for _ in range(runs):
            source = self._make(size)
            for system in self.systems:
                if self._put(system, source, condition, size):
                    self._get(system, source, source.name, condition, size)
                    system.remove(source.name)
            source.unlink()

    def _measure_ill(self, condition: Condition, size: int, runs: int) -> None:
        """Files are there before it happens; a run reads one and, where nodes died, puts another."""
        pool = [self._make(size) for _ in range(min(runs, POOL))]
        for source in pool:
            for system in self.systems:
                system.put(source, source.name)
        with self._suffering(condition):
            for run in range(runs if condition is Condition.DEAD else len(pool)):
                source = pool[run % len(pool)]
                for system in self.systems:
                    self._get(system, source, source.name, condition, size)
                if condition is Condition.DEAD:
                    self._put_and_forget(condition, size)
        for source in pool:
            for system in self.systems:
                system.remove(source.name)
            source.unlink()

    def _put_and_forget(self, condition: Condition, size: int) -> None:
        source = self._make(size)
        for system in self.systems:
            if self._put(system, source, condition, size):
                system.remove(source.name)
        source.unlink()

    @contextmanager
    def _suffering(self, condition: Condition) -> Iterator[None]:
        for system in self.systems:
            system.suffer(condition)
        yield
        for system in self.systems:
            system.recover(condition)

    def _put(self, system: System, source: Path, condition: Condition, size: int) -> bool:
        return self.journal.take(system, "put", size, condition, lambda: system.put(source, source.name))

    def _get(self, system: System, source: Path, name: str, condition: Condition, size: int) -> bool:
        out = self.folder / "out"

        def work() -> Done:
            done = system.get(name, out)
            if not filecmp.cmp(source, out, shallow=False):
                raise ChildFailed("the bytes that came back are others")
            return done

        good = self.journal.take(system, "get", size, condition, work)
        out.unlink(missing_ok=True)
        return good

    def _make(self, size: int) -> Path:
        """Write a file of random bytes that nobody has seen."""
        self._files += 1
        path = self.folder / f"file-{self._files}"
        with path.open("wb") as file:
            for start in range(0, size, BLOCK):
                file.write(os.urandom(min(BLOCK, size - start)))
        return path
