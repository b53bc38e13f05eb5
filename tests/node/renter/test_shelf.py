"""The shelf: what farmers say that they keep of it is believed only as far as it can be true."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import shelf as sealed_shelf
from node.db.renter_shelf import list_due
from node.db.restoration import ask_later
from node.errors import CorruptEntry
from node.farmer import shelf
from node.farmer.farm import Farm
from node.fields import MAX_SEALED
from node.identity import NodeKey
from node.messages import ShelfEntry, ShelfPlace
from node.renter.reports import Fault, Trouble
from node.shelf import PART, join_parts, open_entry, part_name, seal_parts
from payments.types import NodeId
from tests.node.renter.support import INTERVAL, Neighbour, Village, content, tell
from tests.node.renter.test_restored import go_back

LIES: dict[str, Callable[[ShelfPlace], ShelfPlace]] = {
    "huge": lambda place: ShelfPlace.model_construct(entry=place.entry, version=2**64 - 1),
    "high": lambda place: ShelfPlace(entry=place.entry, version=2**62),
    "low": lambda place: ShelfPlace(entry=place.entry, version=place.version - 1),
    "other": lambda place: ShelfPlace(entry=b"another entry...", version=place.version),
}
Keep = Callable[[Farm, NodeId, ShelfEntry], Awaitable[ShelfPlace]]


def lying(real: Keep, liars: Sequence[Neighbour]) -> Keep:
    """Farmers keep entries and say something else, each in its way."""
    lies = {id(liar.farmer.farm): lie for liar, lie in zip(liars, LIES.values(), strict=True)}

    async def keep(farm: Farm, node: NodeId, message: ShelfEntry) -> ShelfPlace:
        kept = await real(farm, node, message)
        return lies[id(farm)](kept) if id(farm) in lies else kept

    return keep


def lacks(place: Village, farmer: Neighbour) -> int:
    """Count the entries that a farmer is still to be given."""
    return len(place.database.read(partial(list_due, farmer=farmer.node)))


def test_farmers_that_lie_of_their_shelf_end_neither_a_put_nor_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        liars = place.farmers[:-1]
        monkeypatch.setattr(shelf, "keep", lying(shelf.keep, liars))
        await place.store("file", content(20_000))
        assert [lacks(place, one) for one in place.farmers] == [2] * len(liars) + [0]
        place.clock.pass_time(INTERVAL + 1)
        report = await place.renter.tick()
        assert {audit.outcome.value for audit in report.audits} == {"PASSED"}
        assert report.trouble == ""
        assert {one.farmer for one in report.faults} == {liar.node for liar in liars}
        assert {one.trouble for one in report.faults} == {Trouble.BROKE_RULES}
        monkeypatch.undo()
        assert (await place.renter.tick()).faults == ()  # they rest
        place.clock.pass_time(INTERVAL + 1)
        assert (await place.renter.tick()).faults == ()
        assert [lacks(place, one) for one in place.farmers] == [0] * len(place.farmers)

    tell(tmp_path, story, farmers=len(LIES) + 1)


KEY = NodeKey(bytes(range(32)))
ENTRY = b"e" * 16


@given(length=st.integers(0, 5_000))
def test_an_entry_comes_back_from_its_parts(length: int) -> None:
    said = {"manifest": content(length).hex()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_shelf, "PART", 1_000)
        *parts, (name, last) = seal_parts(KEY, ENTRY, 7, said)
    assert name == ENTRY
    whole = open_entry(KEY, ENTRY, 7, last)
    if parts:
        assert [part for part, _ in parts] == [part_name(ENTRY, number) for number in range(whole["parts"])]
        texts = [open_entry(KEY, part, 7, sealed)["part"] for part, sealed in parts]
        whole = join_parts(ENTRY, 7, texts)
        with pytest.raises(CorruptEntry):
            join_parts(ENTRY, 7, texts[:-1])
    assert whole == said


def test_every_part_of_a_large_entry_is_small_enough_for_a_farmer() -> None:
    sealed = seal_parts(KEY, ENTRY, 1, {"manifest": content(2 * PART).hex()})
    assert len(sealed) > 2
    assert max(len(part) for _, part in sealed) <= MAX_SEALED


def test_a_file_whose_entry_is_large_comes_back_from_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        monkeypatch.setattr(sealed_shelf, "PART", 1_500)
        data = content(50_000)
        await place.store("file", data, k=1, n=2, segment_size=5_000)
        kept = shelf.show(place.farmers[0].farmer.farm, place.keys.node.node).entries
        assert len(kept) > 4
        await go_back(place, None)
        first = await place.renter.peers.add(place.farmers[0].url)
        await place.database.write(lambda conn: ask_later(conn, first.node))
        reconciled = await place.renter.reconcile()
        assert (reconciled.found, reconciled.faults) == (("file",), ())
        await place.meet()
        assert await place.read("file") == data

    tell(tmp_path, story, farmers=2)


def limit_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shelf, "ROOM", 5_000)


def limit_entry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sealed_shelf, "PART", 1_000)
    patch.setattr(sealed_shelf, "LARGEST_WHOLE", 5_000)


@pytest.mark.parametrize(("limit", "code"), [(limit_room, "SHELF_FULL"), (limit_entry, "ENTRY_TOO_LARGE")])
def test_what_farmers_do_not_keep_is_told_and_keeps_nothing_else_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: Callable[[pytest.MonkeyPatch], None], code: str
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        limit(monkeypatch)
        source = tmp_path / "large.source"
        source.write_bytes(content(50_000))
        report = await place.renter.files.put(source, "large", k=1, n=2, segment_size=5_000)
        assert codes(report.faults) == {code}
        place.clock.pass_time(INTERVAL + 1)
        tick = await place.renter.tick()
        assert (codes(tick.faults), tick.trouble) == ({code}, "")
        assert [lacks(place, farmer) for farmer in place.farmers] == [1, 1]
        place.clock.pass_time(INTERVAL + 1)
        await place.store("small", b"small", k=1, n=1)
        assert [lacks(place, farmer) for farmer in place.farmers] == [1, 1]

    tell(tmp_path, story, farmers=2)


def codes(faults: tuple[Fault, ...]) -> set[str | None]:
    return {fault.code for fault in faults}
