"""Reading while farmers are lost in any pattern, and while they answer wrongly in every way there is."""

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from node.renter.errors import FileUnavailable
from node.renter.reports import Trouble
from tests.node.renter.support import Neighbour, Village, content, outcomes, tell

DATA = content(150_000)
READ = "POST /v1/agreements"


async def read(place: Village) -> bytes:
    out = io.BytesIO()
    await place.renter.files.get("file", out)
    return out.getvalue()


def test_the_file_survives_the_loss_of_n_minus_k_farmers_in_every_pattern(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=3, n=6, segment_size=100_000)
        for lost in combinations(place.farmers, 3):
            for farmer in lost:
                assert farmer.wire
                farmer.wire.lose_requests.append(READ)
            assert await read(place) == DATA
            for farmer in lost:
                assert farmer.wire
                farmer.wire.lose_requests.clear()

    tell(tmp_path, story, farmers=6, wired=True)


def flipped(body: bytes) -> bytes:
    """One bit of a leaf in the middle."""
    return body[:30_000] + bytes([body[30_000] ^ 4]) + body[30_001:]


def wrong_proof(body: bytes) -> bytes:
    return body[:-1] + bytes([body[-1] ^ 1])


def only_zeros(body: bytes) -> bytes:
    return bytes(len(body))


def too_short(body: bytes) -> bytes:
    return body[:-1]


def too_long(body: bytes) -> bytes:
    return body + b"\0"


HARM: dict[Callable[[bytes], bytes], tuple[Trouble, str]] = {
    flipped: (Trouble.WRONG_DATA, "WRONG_SHARD"),
    wrong_proof: (Trouble.WRONG_DATA, "WRONG_SHARD"),
    only_zeros: (Trouble.WRONG_DATA, "WRONG_SHARD"),
    too_short: (Trouble.BROKE_RULES, "PEER_BROKE_RULES"),
    too_long: (Trouble.BROKE_RULES, "PEER_BROKE_RULES"),
}


def harm(farmer: Neighbour, change: Callable[[bytes], bytes]) -> None:
    """Change every answer to a read."""
    assert farmer.wire
    farmer.wire.tamper = lambda path, body: change(body) if path.endswith("/read") else body


def test_every_wrong_answer_is_named_and_the_file_still_right(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=2, n=8)
        shards = place.renter.files.stat("file").shards
        holders = [place.farmer(shard.farmer) for shard in shards]
        expected = {}
        for farmer, (change, trouble) in zip(holders, HARM.items(), strict=False):
            harm(farmer, change)
            expected[farmer.node] = trouble
        (path,) = holders[5].shards
        path.write_bytes(path.read_bytes()[:-1])
        expected[holders[5].node] = (Trouble.REFUSED, "SHARD_DAMAGED")
        out = tmp_path / "out"
        report = await place.renter.files.get("file", out)
        assert out.read_bytes() == DATA
        found = {fault.farmer: (fault.trouble, fault.code) for fault in report.faults}
        assert found == expected
        lost = {shard.farmer for shard in place.renter.files.stat("file").shards if shard.outcome}
        assert lost == {node for node, (_, code) in expected.items() if code != "PEER_BROKE_RULES"}

    tell(tmp_path, story, farmers=8, wired=True)


def test_the_shard_of_another_agreement_does_not_pass(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=3)
        await place.store("other", content(450_032), k=3, n=3)  # its shards are as long
        liar = place.farmer(place.renter.files.stat("file").shards[0].farmer)
        answers: list[bytes] = []
        assert liar.wire
        liar.wire.tamper = lambda _, body: answers.append(body) or body  # type: ignore[func-returns-value]
        out = tmp_path / "out"
        await place.renter.files.get("other", out)
        stolen = max(answers, key=len)
        harm(liar, lambda _: stolen)
        report = await place.renter.files.get("file", out)
        assert out.read_bytes() == DATA
        assert {(fault.farmer, fault.code) for fault in report.faults} == {(liar.node, "WRONG_SHARD")}

    tell(tmp_path, story, farmers=3, wired=True)


def test_a_liar_is_known_after_one_step_and_paid_no_more(tmp_path: Path) -> None:
    data = content(2 * 2**20 + 7)

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", data, k=1, n=2)
        liar = place.farmer(place.renter.files.stat("file").shards[0].farmer)
        harm(liar, flipped)
        report = await place.renter.files.get("file", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
        assert [fault.farmer for fault in report.faults] == [liar.node]
        assert liar.wire
        assert sum(line.endswith("/read") for line in liar.wire.seen) == 1
        assert place.earned(liar.node) == 0

    tell(tmp_path, story, farmers=2, wired=True)


def test_liars_and_the_dead_together_below_k_are_all_named(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=3, n=5)
        for farmer in place.farmers[:2]:
            harm(farmer, flipped)
        await place.farmers[2].stop()
        out = tmp_path / "back" / "out"
        out.parent.mkdir()
        with pytest.raises(FileUnavailable) as caught:
            await place.renter.files.get("file", out)
        assert (caught.value.segment, caught.value.good, caught.value.needed) == (0, 2, 3)
        assert {fault.farmer for fault in caught.value.faults} == {one.node for one in place.farmers[:3]}
        assert list(out.parent.iterdir()) == []

    tell(tmp_path, story, farmers=5, wired=True)


def test_a_farmer_given_up_for_slowness_is_read_and_audited_again_with_right_accounts(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=2)
        slow = place.farmer(place.renter.files.stat("file").shards[0].farmer)
        assert slow.wire
        slow.wire.lose_answers.append(READ)
        slow.wire.stalls.append("GET")
        assert await read(place) == DATA
        slow.wire.lose_answers.clear()
        slow.wire.stalls.clear()
        await place.farmer(place.renter.files.stat("file").shards[1].farmer).stop()
        assert await read(place) == DATA
        place.clock.pass_time(60)
        report = await place.renter.audits.audit()
        assert outcomes(report)["PASSED"] == 1
        (info,) = [one for one in place.renter.channels.list() if one.farmer == slow.node]
        books = await slow.farmer.channel(place.keys.node.node, info.channel.id)
        assert books.paid is not None
        assert books.paid.voucher.cumulative_amount == info.channel.earned

    tell(tmp_path, story, farmers=2, wired=True)
