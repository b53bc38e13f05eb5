"""Reading back from farmers that lie, lose, stall or are gone."""

import asyncio
import json
import random
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from node.audit import Outcome
from node.errors import WrongMasterKey
from node.master_key import MasterKey
from node.renter.errors import FileUnavailable
from node.renter.reports import Trouble
from payments.types import NodeId
from tests.node.renter.support import Neighbour, Village, content, outcomes, tell

DATA = content(120_000)


async def stored(place: Village, k: int = 2, n: int = 5) -> None:
    await place.fund()
    await place.store("file", DATA, k=k, n=n, segment_size=50_000)


def flip_all(farmer: Neighbour) -> None:
    """Change every byte of every shard."""
    for path in farmer.shards:
        path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))


def flip_one(farmer: Neighbour) -> None:
    """Change one bit of every shard."""
    for path in farmer.shards:
        data = bytearray(path.read_bytes())
        data[random.randrange(len(data))] ^= 1
        path.write_bytes(data)


def swap(farmer: Neighbour) -> None:
    """Serve the shards of other agreements, of the same length."""
    first, second, _ = farmer.shards
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def truncate(farmer: Neighbour) -> None:
    for path in farmer.shards:
        path.write_bytes(path.read_bytes()[:-1])


def throw_away(farmer: Neighbour) -> None:
    for path in farmer.shards:
        path.unlink()


def test_wrong_shards_are_named_excluded_and_replaced(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        order = [shard.farmer for shard in place.renter.files.stat("file").shards if not shard.segment]
        liars = [place.farmer(node) for node in order[:3]]
        flip_one(liars[0])
        truncate(liars[1])
        throw_away(liars[2])
        report = await place.renter.files.get("file", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == DATA
        assert {(fault.farmer, fault.trouble) for fault in report.faults} == {
            (liars[0].node, Trouble.WRONG_DATA),
            (liars[1].node, Trouble.REFUSED),
            (liars[2].node, Trouble.REFUSED),
        }
        assert {fault.code for fault in report.faults} == {"WRONG_SHARD", "SHARD_DAMAGED", "SHARD_MISSING"}
        lost = {shard.farmer for shard in place.renter.files.stat("file").shards if shard.outcome}
        assert lost == {liar.node for liar in liars}
        assert place.renter.files.stat("file").healthy[0] == 2
        again = await place.renter.files.get("file", tmp_path / "out")
        assert again.faults == ()

    tell(tmp_path, story, farmers=5)


def test_any_n_minus_k_farmers_may_be_gone(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        for farmer in random.sample(place.farmers, 3):
            await farmer.stop()
        assert await place.read("file") == DATA

    tell(tmp_path, story, farmers=5)


def test_too_few_good_shards_name_what_is_missing_and_leave_no_file(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        for farmer in place.farmers[:2]:
            await farmer.stop()
        flip_all(place.farmers[2])
        throw_away(place.farmers[3])
        out = tmp_path / "back" / "out"
        out.parent.mkdir()
        out.write_bytes(b"what was there before")
        with pytest.raises(FileUnavailable) as caught:
            await place.renter.files.get("file", out)
        error = caught.value
        assert (error.segment, error.good, error.needed) == (0, 1, 2)
        assert {fault.farmer for fault in error.faults} == {farmer.node for farmer in place.farmers[:4]}
        assert out.read_bytes() == b"what was there before"
        assert list(out.parent.iterdir()) == [out]

    tell(tmp_path, story, farmers=5)


def test_swapped_shards_do_not_pass_for_each_other(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(90_000), k=1, n=2, segment_size=30_000)
        swap(place.farmers[0])
        assert await place.read("file") == content(90_000)
        report = await place.renter.audits.audit()
        failed = {result.farmer for result in report.results if result.outcome is Outcome.FAILED}
        assert failed == {place.farmers[0].node}

    tell(tmp_path, story, farmers=2)


def test_bytes_changed_on_the_way_are_noticed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=2)
        asked: list[NodeId] = []

        def tamper(node: NodeId, path: str, body: bytes) -> bytes:
            """Reverse whatever the farmer that is asked first sends."""
            if path.endswith("/read"):
                asked.append(node)
            return body[::-1] if path.endswith("/read") and node == asked[0] else body

        for farmer in place.farmers:
            assert farmer.wire
            farmer.wire.tamper = partial(tamper, farmer.node)
        report = await place.renter.files.get("file", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == DATA
        assert {fault.farmer for fault in report.faults} == {asked[0]}

    tell(tmp_path, story, farmers=2, wired=True)


@pytest.mark.hurried
def test_a_stalled_farmer_does_not_hold_up_a_read(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=2)
        for farmer in place.farmers:
            assert farmer.wire
        first = place.renter.files.stat("file").shards[0].farmer
        wire = place.farmer(first).wire
        assert wire
        wire.stalls.append("")
        begun = time.monotonic()
        assert await place.read("file") == DATA
        assert time.monotonic() - begun < 20

    tell(tmp_path, story, farmers=2, wired=True)


def test_a_wrong_master_key_opens_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=2)
        place.keys = replace(place.keys, master=MasterKey(bytes(32)))
        await place.restart_renter()
        with pytest.raises(WrongMasterKey):
            await place.renter.files.get("file", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    tell(tmp_path, story, farmers=2)


def test_a_cancelled_get_leaves_no_file(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=2)
        for farmer in place.farmers:
            assert farmer.wire
            farmer.wire.stalls.append("")
        get = asyncio.create_task(place.renter.files.get("file", tmp_path / "out"))
        await asyncio.sleep(0.5)
        get.cancel()
        with pytest.raises(asyncio.CancelledError):
            await get

    tell(tmp_path, story, farmers=2, wired=True)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_what_a_get_has_paid_is_no_more_than_asked(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=2, n=5)
        report = await place.renter.files.get("file", tmp_path / "out")
        earned = sum(place.earned(farmer.node) for farmer in place.farmers)
        assert report.paid == earned
        shards = place.renter.files.stat("file").shards
        assert len({shard.farmer for shard in shards}) == 5
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 15}

    tell(tmp_path, story, farmers=5)


def test_large_shards_are_paid_in_steps_and_a_lost_answer_is_not_paid_twice(tmp_path: Path) -> None:
    data = content(2 * 2**20 + 5)

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("large", data, k=1, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_first = 1
        report = await place.renter.files.get("large", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
        assert report.faults == ()
        assert report.paid == place.earned(farmer.node) > 0
        reads = [json.loads(body) for line, body in farmer.wire.bodies if line.endswith("/read")]
        steps = [(read["offset"], read["payment"]["voucher"]["cumulative_amount"]) for read in reads]
        assert len(steps) == 4
        assert steps[0] == steps[1]
        assert [offset for offset, _ in steps[1:]] == [0, 2**20, 2**21]
        assert len({total for _, total in steps}) == 3

    tell(tmp_path, story, farmers=1, wired=True)


@pytest.mark.parametrize(("code", "lost"), [("NO", True), ("BUSY", False), ("CHANNEL_FROZEN", False)])
def test_refusing_a_paid_read_loses_the_shard_unless_it_is_excused(
    tmp_path: Path, code: str, *, lost: bool
) -> None:
    async def story(place: Village) -> None:
        await stored(place, k=1, n=2)
        first = place.farmer(place.renter.files.stat("file").shards[0].farmer)
        assert first.wire
        first.wire.refuse["POST /v1/agreements"] = code
        assert await place.read("file") == DATA
        shards = [shard for shard in place.renter.files.stat("file").shards if shard.farmer == first.node]
        found = {shard.outcome for shard in shards} - {None}
        assert found == {Outcome.FAILED if lost else Outcome.TIMED_OUT}

    tell(tmp_path, story, farmers=2, wired=True)
