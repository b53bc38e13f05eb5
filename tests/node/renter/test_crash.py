"""Ended by SIGKILL: a put, at each of its writes, leaves the file whole or no file; a get is gone on with."""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from node.db.renter_files import FileState, load_files
from node.db.renter_segments import load_segments
from node.db.renter_shards import load_deletions
from node.renter.resume import RESUMABLE_SECONDS
from tests.node.renter.support import Village, content, tell

DATA = content(5_000)
MOST_WRITES = 40


def describe(place: Village) -> Path:
    """Write down who the renter is, for the child."""
    deployment = place.world.chain.deployment
    record = {
        name: "0x" + value.hex() if isinstance(value, bytes) else value
        for name, value in asdict(deployment).items()
    }
    source = place.folder / "source"
    source.write_bytes(DATA)
    told = place.folder / "renter.json"
    told.write_text(
        json.dumps(
            {
                "deployment": record,
                "node": place.keys.node.seed.hex(),
                "signer": place.keys.signer.secret.hex(),
                "master": place.keys.master._secret.hex(),
                "payer": place.keys.payer.hex(),
                "database": str(place.folder / "renter.db"),
                "locks": str(place.folder / "locks"),
                "source": str(source),
                "out": str(place.folder / "back" / "out"),
                "now": place.clock.now,
            }
        )
    )
    return told


async def run_child(told: Path, fatal: int, when: str) -> bool:
    """Let the child put, or get, until it dies; whether it lived to the end."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("child.py")),
        str(told),
        str(fatal),
        when,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    said, _ = await child.communicate()
    assert (child.returncode, said) in ((0, b"done\n"), (-signal.SIGKILL, b"")), child.returncode
    return child.returncode == 0


async def check(place: Village, *, acknowledged: bool) -> None:
    """Nothing in between: stored and readable, or gone everywhere and its name free."""
    names = [file.name for file in place.renter.files.ls()]
    assert names in ([], ["file"])
    assert names or not acknowledged
    await place.renter.tick()
    for file in place.database.read(lambda conn: load_files(conn, FileState.PUTTING)):
        assert place.database.read(lambda conn, name=file.file_id: load_segments(conn, name))  # type: ignore[misc]  # mypy sees no default
        place.clock.pass_time(RESUMABLE_SECONDS)  # nobody goes on with it
        await place.renter.tick()
    assert not place.database.read(lambda conn: load_files(conn, FileState.PUTTING))
    assert not place.database.read(load_deletions)
    if names:
        assert await place.read("file") == DATA
        await place.renter.files.rm("file")
    assert not any(farmer.shards for farmer in place.farmers)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_put_leaves_a_whole_file_or_none(tmp_path: Path, when: str) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        for fatal in range(1, MOST_WRITES):
            told = describe(place)
            await place.close_renter()
            survived = await run_child(told, fatal, when)
            await place.open_renter()
            await check(place, acknowledged=survived)
            if survived:
                return
        pytest.fail(f"a put makes more than {MOST_WRITES} writes")

    tell(tmp_path, story, farmers=1)


def test_a_killed_get_goes_on_where_it_was(tmp_path: Path) -> None:
    data = content(400_000)

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", data, k=1, n=1, segment_size=100_000)
        told, out = describe(place), place.folder / "back" / "out"
        out.parent.mkdir()
        await place.close_renter()
        assert not await run_child(told, 300_000, "get")
        await place.open_renter()
        (part,) = out.parent.iterdir()
        assert part.name.startswith(".")
        kept = part.read_bytes()
        assert data.startswith(kept)
        assert len(kept) >= 100_000
        sold = place.farmers[0].farmer.farm.stats.totals["bytes_sold"]
        seen: list[int] = []
        await place.renter.files.get("file", out, progress=lambda done, _: seen.append(done))
        assert out.read_bytes() == data
        assert list(out.parent.iterdir()) == [out]
        assert min(seen) > len(kept)
        again = place.farmers[0].farmer.farm.stats.totals["bytes_sold"] - sold
        assert again <= 400_000 - len(kept) + 70_000

    tell(tmp_path, story, farmers=1)
