"""The shelf: what farmers say that they keep of it is believed only as far as it can be true."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from node.db.renter_shelf import list_due
from node.farmer import shelf
from node.farmer.farm import Farm
from node.messages import ShelfEntry, ShelfPlace
from node.renter.reports import Trouble
from payments.types import NodeId
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, tell

LIES = {
    "huge": lambda place: ShelfPlace.model_construct(entry=place.entry, version=2**64 - 1),
    "high": lambda place: ShelfPlace(entry=place.entry, version=2**62),
    "low": lambda place: ShelfPlace(entry=place.entry, version=place.version - 1),
    "other": lambda place: ShelfPlace(entry=b"another entry...", version=place.version),
}
Keep = Callable[[Farm, NodeId, ShelfEntry], Awaitable[ShelfPlace]]


def lying(real: Keep, liar: Neighbour, lie: Callable[[ShelfPlace], ShelfPlace]) -> Keep:
    """One farmer keeps entries and says something else."""

    async def keep(farm: Farm, node: NodeId, message: ShelfEntry) -> ShelfPlace:
        kept = await real(farm, node, message)
        return lie(kept) if farm is liar.farmer.farm else kept

    return keep


def lacks(place: Village, farmer: Neighbour) -> int:
    """Count the entries that a farmer is still to be given."""
    return len(place.database.read(partial(list_due, farmer=farmer.node)))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_farmer_that_lies_of_its_shelf_ends_neither_a_put_nor_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: Callable[[ShelfPlace], ShelfPlace]
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        liar, honest = place.farmers
        monkeypatch.setattr(shelf, "keep", lying(shelf.keep, liar, lie))
        await place.store("file", content(20_000))
        assert (lacks(place, liar), lacks(place, honest)) == (2, 0)
        place.clock.pass_time(INTERVAL + 1)
        report = await place.renter.tick()
        assert {audit.outcome.value for audit in report.audits} == {"PASSED"}
        assert report.trouble == ""
        assert [(one.farmer, one.trouble) for one in report.faults] == [(liar.node, Trouble.BROKE_RULES)]
        monkeypatch.undo()
        assert (await place.renter.tick()).faults == ()  # it rests
        place.clock.pass_time(INTERVAL + 1)
        assert (await place.renter.tick()).faults == ()
        assert lacks(place, liar) == 0

    tell(tmp_path, story, farmers=2)
