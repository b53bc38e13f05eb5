"""Statistics survive restarts, and nothing that happens to them stops the node."""

import asyncio
from pathlib import Path

from node.db.stats import Statistics


def test_counters_survive_a_restart(tmp_path: Path) -> None:
    first = Statistics(tmp_path / "stats.db")
    first.count("audits_passed")
    first.count("bytes_stored", 5_000_000_000)
    asyncio.run(first.flush())
    first.count("audits_passed")
    assert first.totals == {"audits_passed": 2, "bytes_stored": 5_000_000_000}
    asyncio.run(first.flush())
    first.close()
    second = Statistics(tmp_path / "stats.db")
    assert second.totals == {"audits_passed": 2, "bytes_stored": 5_000_000_000}
    second.close()


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "stats.db").write_bytes(b"no database at all, rather a poem" * 100)
    stats = Statistics(tmp_path / "stats.db")
    stats.count("audits_passed")
    asyncio.run(stats.flush())
    assert stats.totals == {"audits_passed": 1}
    stats.close()
    assert (tmp_path / "stats.db.damaged").exists()


def test_a_place_that_cannot_be_written_leaves_counters_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    stats = Statistics(tmp_path / "file" / "stats.db")
    stats.count("audits_passed", 3)
    asyncio.run(stats.flush())
    assert stats.totals == {"audits_passed": 3}
    stats.close()


def test_counters_may_live_in_memory_only() -> None:
    stats = Statistics(None)
    stats.count("audits_passed")
    asyncio.run(stats.flush())
    assert stats.totals == {"audits_passed": 1}
    stats.close()
