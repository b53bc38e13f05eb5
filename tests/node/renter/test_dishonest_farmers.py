"""Farmers that want to be paid without keeping anything."""

from pathlib import Path
from typing import Any

from node.audit import Outcome
from node.db.farmer import list_books, load_held
from node.db.renter_shards import load_farmer_shards
from node.farmer.errors import ExposureExceeded
from node.farmer.vouchers import evidence
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, outcomes, tell


def demand_arrears(farmer: Neighbour, exposure: int) -> None:
    """Refuse every audit and ask for storage time instead."""

    async def refuse(*_: Any) -> None:  # noqa: ANN401 - whatever the audit is
        raise ExposureExceeded(exposure, 0)

    farmer.farmer.audit = refuse  # type: ignore[method-assign, assignment]


def test_a_farmer_without_data_cannot_live_on_arrears(tmp_path: Path) -> None:
    """Whoever refuses audits over unpaid time gets at most the time since its last proof, and that once."""

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(50_000), k=1, n=1)
        place.clock.pass_time(60)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 1}
        (liar,) = place.farmers
        step = place.earned(liar.node)
        for path in liar.shards:
            path.unlink()
        demand_arrears(liar, step // 4)
        for _ in range(12):
            place.clock.pass_time(INTERVAL)
            report = await place.renter.audits.audit()
            assert all(result.outcome is not Outcome.PASSED for result in report.results)
            place.clock.pass_time(120)
            await place.renter.audits.audit()
        assert place.earned(liar.node) <= 2 * step + step // 4

    tell(tmp_path, story, farmers=1)


def test_an_old_proof_shown_again_says_nothing_of_today(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(50_000), k=1, n=1)
        place.clock.pass_time(60)
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 1}
        (liar,) = place.farmers
        books = liar.farmer.farm.database
        (book,) = books.read(list_books)
        held = books.read(lambda conn: load_held(conn, book.channel_id))
        assert held is not None
        assert book.earnings.proven is not None
        before = place.database.read(lambda conn: load_farmer_shards(conn, liar.node))
        place.clock.pass_time(3 * INTERVAL)
        shown = evidence(book.earnings.proven, held)
        assert await place.renter.channels.learn_proof(liar.node, book.channel_id, shown) == 0
        assert place.database.read(lambda conn: load_farmer_shards(conn, liar.node)) == before

    tell(tmp_path, story, farmers=1)
