"""Two programs of one renter at once, as `rent run` and `tithe get` are: no total is ever in doubt."""

import asyncio
import io
from functools import partial
from pathlib import Path

from node.db.farmer import list_books
from node.db.renter_files import FileState, load_files
from node.db.renter_shards import load_deletions, load_farmer_shards
from node.renter import TABLES, Renter
from settlement.database import Database
from tests.node.renter import support
from tests.node.renter.support import Village, content, outcomes, tell

DATA = content(200_000)


async def second_renter(place: Village) -> tuple[Renter, Database]:
    """Another program on the same home."""
    database = Database.at(place.folder / "renter.db", TABLES)
    renter = await Renter.open(
        database,
        place.world.chain,
        place.keys,
        clock=place.clock,
        locks=place.folder / "locks",
        patience=support.QUICK,
    )
    return renter, database


def test_reads_and_audits_of_two_programs_add_up(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=2, n=3, segment_size=50_000)
        other, database = await second_renter(place)
        first, audited, second, again = await asyncio.gather(
            place.renter.files.get("file", place.folder / "one"),
            other.audits.audit(rounds=2),
            other.files.get("file", place.folder / "two"),
            place.renter.audits.audit(rounds=2),
        )
        await other.close()
        database.close()
        assert (place.folder / "one").read_bytes() == (place.folder / "two").read_bytes() == DATA
        assert first.faults == second.faults == audited.faults == again.faults == ()
        assert outcomes(audited) == outcomes(again) == {"PASSED": 24}
        await place.renter.payments.pay_outstanding()
        paid = first.paid + second.paid
        for farmer in place.farmers:
            (book,) = farmer.farmer.farm.database.read(list_books)
            assert book.earnings.covered == book.earnings.earned == place.earned(farmer.node)
        shards = [
            shard
            for farmer in place.farmers
            for shard in place.database.read(partial(load_farmer_shards, farmer=farmer.node))
        ]
        audits = 4 * sum(shard.agreement.step for shard in shards)
        assert sum(place.earned(farmer.node) for farmer in place.farmers) == paid + audits

    tell(tmp_path, story, farmers=3)


def test_a_put_that_runs_elsewhere_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        other, database = await second_renter(place)
        begun = asyncio.Event()
        for farmer in place.farmers:
            assert farmer.wire
            farmer.wire.stalls.append("PUT")
        source = io.BytesIO(DATA)
        put = asyncio.create_task(
            place.renter.files.put(source, "file", progress=lambda *_: begun.set(), segment_size=50_000)
        )
        await begun.wait()
        assert await other.recover() == 0
        assert not database.read(load_deletions)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
        assert await other.recover() == 0
        assert not database.read(lambda conn: load_files(conn, FileState.PUTTING))
        await other.close()
        database.close()

    tell(tmp_path, story, farmers=2, wired=True)
