"""The benchmark of storage: its figures, its page, and the slow line before a node's socket."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.storage import report
from scripts.storage.child import ChildFailed
from scripts.storage.measure import Journal, Series
from scripts.storage.relay import SlowLine
from scripts.storage.stages import Stage
from scripts.storage.system import Condition, Crowd, Done, System, lasting_ports

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_storage.py"
WANTED = {
    "system",
    "operation",
    "bytes",
    "k",
    "n",
    "condition",
    "runs",
    "p50_s",
    "p95_s",
    "p99_s",
    "mb_per_s",
    "peak_rss_mb",
}


def series(seconds: list[float], operation: str = "put") -> Series:
    count = len(seconds)
    return Series(
        system=report.OURS,
        operation=operation,
        size=10_000_000,
        condition=Condition.PLAIN,
        load=1.0,
        k=29,
        n=80,
        seconds=seconds,
        cpu=[(1.0, 2.0)] * count,
        peaks=[(2**20, 2**21)] * count,
    )


def stages() -> list[Stage]:
    names = ("encrypt", "encode 29 of 80", "data root", "mask")
    return [Stage(name, "limit", 10**6, [0.002], [0.001]) for name in names]


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (0.0, 1), (1.0, 100)])
def test_percentiles_are_by_nearest_rank(part: float, value: int) -> None:
    assert report.percentile(range(1, 101), part) == value


def test_every_row_says_all_that_is_asked_for() -> None:
    rows = report.as_json([series([0.5, 0.25]), series([])], stages())
    assert len(rows) == 1 + 2 * len(stages())
    assert all(row.keys() >= WANTED for row in rows)
    assert (rows[0]["p50_s"], rows[0]["p99_s"], rows[0]["mb_per_s"]) == (0.25, 0.5, 40.0)


def test_the_mask_is_weighed_against_all_that_a_put_computes() -> None:
    spread = 80 / 29
    share = report.mask_share(report.as_json([], stages()))
    assert share == pytest.approx(spread / (2 * spread + 2))


def test_figures_are_written_into_a_page_again_and_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    rows = report.as_json([series([0.5]), series([0.5], "get")], stages())
    report.write_page(page, rows)
    once = page.read_text()
    report.write_page(page, rows)
    assert page.read_text() == once
    assert once.startswith("before\n")
    assert once.endswith(f"{report.END}\nafter\n")
    assert "| plain | 10,000,000 | get | tithebarn | 29 of 80 | 1 | 0.500 |" in once
    assert "old" not in once


def test_a_failed_run_is_counted_and_not_timed() -> None:
    def fails() -> Done:
        raise ChildFailed("no farmer")

    journal = Journal(lambda _: None)
    system: System = SimpleNamespace(name="ours", crowd=Crowd((), (), _own_pid()))
    works: list[tuple[Callable[[], Done], bool]] = [(lambda: Done(0.5, 1, 2), True), (fails, False)]
    for work, good in works:
        assert journal.take(system, "put", 1, Condition.PLAIN, work) is good
    (row,) = report.as_json(journal.series, [])
    assert (row["runs"], row["failed"], row["p99_s"]) == (1, 1, 0.5)


def test_the_benchmark_runs_and_writes_it_down(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    small = [
        "--no-peers",
        "--no-stages",
        "--farmers",
        "2",
        "--shape",
        "1,2",
        "--sizes",
        "20kB",
        "--runs",
        "1",
    ]
    ran = subprocess.run(
        [
            sys.executable,
            SCRIPT,
            *small,
            "--conditions",
            "plain,corrupt",
            "--folder",
            tmp_path,
            "--json",
            figures,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(figures.read_text())
    assert [(row["operation"], row["condition"]) for row in rows] == [
        ("put", "plain"),
        ("get", "plain"),
        ("get", "10 % corrupt"),
    ]
    assert all((row["k"], row["n"], row["runs"], row["failed"]) == (1, 2, 1, 0) for row in rows)
    assert all(row["p50_s"] > 0 and row["peak_rss_mb"] > 0 for row in rows)
    assert list(tmp_path.iterdir()) == [figures]


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


def test_a_slow_line_delays_answers_and_nothing_else() -> None:
    delay = 0.2

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(time.monotonic())
        while data := await reader.read(100_000):
            writer.write(data)
        writer.close()

    heard: list[float] = []

    async def story() -> tuple[float, float, bytes]:
        target, port = lasting_ports(2)
        server = await asyncio.start_server(echo, "127.0.0.1", target)
        line = SlowLine(port, target, delay)
        await line.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        start = time.monotonic()
        writer.write(bytes(500_000))
        writer.write_eof()
        first = await reader.readexactly(1)
        waited = time.monotonic() - start
        rest = await reader.read(-1)
        writer.close()
        await line.stop()
        server.close()
        await server.wait_closed()
        return start, waited, first + rest

    start, waited, back = asyncio.run(story())
    assert back == bytes(500_000)
    assert waited >= delay
    assert start + waited - heard[0] >= delay  # what is asked comes at once
