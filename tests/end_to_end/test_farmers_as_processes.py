"""Farmers and renter as processes on a real Anvil, killed at the worst moments: no money, no file is lost."""

import asyncio
import hashlib
import signal
from collections import Counter
from pathlib import Path

import pytest

from node.audit import Outcome
from node.db.renter_shards import load_deletions
from node.demo.cast import Shape
from node.demo.errors import StageCollapsed
from node.demo.farmers import LocalFarmer
from node.demo.stages import set_stage
from node.renter import Renter
from node.renter.errors import UnknownFile
from payments.types import NodeId
from settlement.local_chain import ChainKind, LocalChain
from tests.end_to_end.relay import Moment
from tests.end_to_end.renter_child import SEGMENT, STORED, K, N, OpenRenter
from tests.end_to_end.village import (
    DEPOSIT,
    PATIENCE,
    Farmer,
    Side,
    Village,
    build_village,
    check_all,
    check_risen,
    passed,
    port_of,
    run,
    sides,
    undecided,
    until,
    worth,
)

AUDIT = b"POST /v1/audits"
VOUCHER = b"POST /v1/vouchers"
SHARD = b"PUT /v1/agreements/"
SEGMENTS = 3
ANOTHER = "is another chain than the recorded one"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of several segments, the last of them not full."""
    path = tmp_path / "source"
    path.write_bytes(hashlib.shake_256(b"harvest").digest(SEGMENTS * SEGMENT - 1_000))
    return path


async def read_back(renter: Renter, source: Path, name: str) -> int:
    """Read a file, compare it byte for byte; what that has cost."""
    out = source.with_name("returned")
    report = await renter.files.get(name, out)
    assert digest(out) == digest(source)
    out.unlink()
    return report.paid


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_farmers_killed_in_audits_lose_no_voucher_and_earn_each_audit_once(
    tmp_path: Path, source: Path
) -> None:
    async def story() -> None:
        async with build_village(tmp_path, N) as village, village.open_renter() as opened:
            await opened.put(source, "harvest")
            await audit_in_peace(village, opened)
            await audit_with_deaths(village, opened)
            village.farmers[0].give_away_process_id()
            await village.start()
            await audit_in_peace(village, opened)
            await pay_into_the_void(village, opened)
            reads = await claim_what_is_paid(village, opened, source)
            assert Counter(passed(opened).values()) == {4: SEGMENTS, 5: 2 * SEGMENTS}
            beside = sum(side.earned for side in sides(opened).values()) - sum(worth(opened).values())
            assert 0 < beside <= reads  # less than an audit; the dead one was offered money, and got none

    run(story())


async def audit_in_peace(village: Village, opened: OpenRenter) -> None:
    """Everybody passes, is paid for each audit once, and has it in the books."""
    report = await opened.renter.audits.audit()
    assert {result.outcome for result in report.results} == {Outcome.PASSED}, report
    assert all(payment.delivered for payment in report.payments)
    found, earned = check_all(opened, village.farmers), worth(opened)
    for farmer in village.farmers:
        side, held = found[farmer.node], farmer.evidence()
        assert side.earned == side.delivered == held.paid == held.earned == earned[farmer.node]


async def audit_with_deaths(village: Village, opened: OpenRenter) -> None:
    """Kill every farmer in the same round, each at another moment of its audit."""
    before, held = sides(opened), {farmer.node: farmer.evidence() for farmer in village.farmers}
    traps = [
        farmer.relay.set_trap(AUDIT, moment, farmer.kill)
        for farmer, moment in zip(village.farmers, Moment, strict=True)
    ]
    report = await opened.renter.audits.audit()
    assert all(trap.sprung.is_set() for trap in traps)
    assert undecided(report) == {farmer.node for farmer in village.farmers}
    after = check_all(opened, village.farmers)
    check_risen(before, after)
    for farmer, moment in zip(village.farmers, Moment, strict=True):
        assert not farmer.alive
        side, now = after[farmer.node], farmer.evidence()
        assert side.earned == before[farmer.node].earned < side.promised
        match moment:
            case Moment.ASKED:
                assert now == held[farmer.node]
            case Moment.WORKING:
                assert now.proven in {held[farmer.node].proven, side.promised}
            case Moment.ANSWERED:
                assert now.proven == side.promised  # it was on disk before the answer


async def pay_into_the_void(village: Village, opened: OpenRenter) -> None:
    """Kill a farmer that has taken its payment, before anybody hears of it: it is not paid again."""
    farmer = village.farmers[0]
    trap = farmer.relay.set_trap(VOUCHER, Moment.ANSWERED, farmer.kill)
    report = await opened.renter.audits.audit()
    assert trap.sprung.is_set()
    assert undecided(report) == set()
    side = check_all(opened, village.farmers)[farmer.node]
    assert side.delivered < side.paid == farmer.evidence().paid
    await village.start()
    (again,) = await opened.renter.payments.pay_outstanding()
    assert (again.farmer, again.total, again.delivered) == (farmer.node, side.paid, True)
    assert farmer.evidence().paid == side.paid


async def claim_what_is_paid(village: Village, opened: OpenRenter, source: Path) -> int:
    """Claim by a living farmer and from a dead one's disk: what is paid without condition, never more.

    The dead one's last audit is asked for again, not anew. Returns what reading the file meanwhile has cost.
    """
    dead, living, _ = village.farmers
    trap = dead.relay.set_trap(AUDIT, Moment.ANSWERED, dead.kill)
    await opened.renter.audits.audit()
    assert trap.sprung.is_set()
    reads = await read_back(opened.renter, source, "harvest")  # the two others do
    await opened.renter.payments.pay_outstanding()
    mine = check_all(opened, village.farmers)
    await asyncio.gather(dead.claim(), living.claim())
    for farmer in (dead, living):
        (row,) = (await farmer.tithe("farm", "vouchers"))["vouchers"]
        paid = int(row["paid"]["cumulative_amount"])
        assert paid == farmer.evidence().paid == mine[farmer.node].delivered
        assert (farmer.evidence().earned > paid) == (farmer is dead)
        assert await village.balance(farmer.payee) == paid == int(row["claimed"])
    await village.start()
    assert undecided(await opened.renter.audits.audit()) == set()
    await dead.claim()
    await opened.renter.channels.refresh()
    side = check_all(opened, village.farmers)[dead.node]
    assert await village.balance(dead.payee) == side.claimed == side.paid == side.earned
    return reads


PUT_DEATHS = [(SHARD, Moment.ASKED, 1), (SHARD, Moment.ANSWERED, 0)]  # the second goes on with the first
AUDIT_DEATHS = [(AUDIT, Moment.WORKING, 0), (AUDIT, Moment.ANSWERED, 1), (VOUCHER, Moment.ANSWERED, 0)]


def test_killed_renter_goes_on_where_it_was_and_pays_nothing_twice(tmp_path: Path, source: Path) -> None:
    async def story() -> None:
        async with build_village(tmp_path, N) as village:
            async with village.open_renter() as opened:
                await opened.put(source, "kept")
                await audit_in_peace(village, opened)
            for mark, moment, skip in PUT_DEATHS:
                before = await kill_renter(village, mark, moment, skip, "put", str(source), "again")
                async with village.open_renter() as opened:
                    check_risen(before, check_all(opened, village.farmers))
                    assert [info.name for info in opened.renter.files.ls()] == ["kept"]
                    with pytest.raises(UnknownFile):
                        await opened.renter.files.get("again", tmp_path / "nothing")
            for mark, moment, skip in AUDIT_DEATHS:
                before = await kill_renter(village, mark, moment, skip, "audit", "2")
                async with village.open_renter() as opened:
                    check_risen(before, check_all(opened, village.farmers))
                    await audit_in_peace(village, opened)
            await put_again(village, source)

    run(story())


async def kill_renter(
    village: Village, mark: bytes, moment: Moment, skip: int, *arguments: str
) -> dict[NodeId, Side]:
    """Start the renter and end it by SIGKILL at this moment; its books as they were before."""
    async with village.open_renter() as opened:
        before = sides(opened)
    process = village.child(*arguments)

    async def kill() -> None:
        process.kill()
        await asyncio.to_thread(process.wait)

    village.farmers[0].relay.set_trap(mark, moment, kill, skip=skip)
    try:
        ended = await asyncio.to_thread(process.wait, PATIENCE)
        assert ended == -signal.SIGKILL, village.last_words()
    finally:
        await kill()
    return before


async def put_again(village: Village, source: Path) -> None:
    """The name is free, the shards of the dead puts go, both files read back."""
    async with village.open_renter() as opened:
        await opened.put(source, "again")
        await opened.renter.tick()
        assert opened.database.read(load_deletions) == ()
        for name in ("kept", "again"):
            await read_back(opened.renter, source, name)
        for farmer in village.farmers:
            found = (await farmer.tithe("farm", "status"))["status"]
            assert found["shards"] == 2 * SEGMENTS
            assert found["reserved_bytes"] == 0
        await opened.renter.payments.pay_outstanding()
        check_all(opened, village.farmers)


@pytest.mark.usefixtures("unhurried")
def test_farmers_of_the_embedded_chain_go_on_from_disk(source: Path) -> None:
    shape = Shape(farmers=N, k=K, n=N)

    async def story() -> None:
        async with set_stage(ChainKind.EMBEDDED, shape) as stage:
            renter = stage.renter
            for actor in stage.actors:
                await renter.peers.add(actor.url)
            await renter.funding.fund(await renter.funding.plan(amount=DEPOSIT))
            await renter.files.put(source, "harvest", k=K, n=N, segment_size=SEGMENT, seconds=STORED)
            totals: list[int] = []
            for _ in range(3):
                report = await renter.audits.audit()
                assert report.count(Outcome.PASSED) == N * SEGMENTS, report
                totals.append(sum(info.paid for info in renter.channels.list()))
                for actor in stage.actors:
                    assert isinstance(actor, LocalFarmer)
                    await actor.kill()
                    await actor.start()
                    await renter.peers.add(actor.url)
            assert totals == [totals[0], 2 * totals[0], 3 * totals[0]]
            await read_back(renter, source, "harvest")
            await renter.payments.pay_outstanding()
            paid = {info.channel.terms.payee: info.paid for info in renter.channels.list()}
            for actor in stage.actors:
                await actor.kill()
                await actor.claim()
                assert await stage.chain.token_balance(actor.payee) == paid[actor.payee]

    run(story())


def test_farmer_outlives_its_chain_and_keeps_what_is_queued(tmp_path: Path, source: Path) -> None:
    async def story() -> None:
        async with build_village(tmp_path, 2) as village, village.open_renter() as opened:
            await opened.put(source, "harvest", k=1, n=2)
            await audit_in_peace(village, opened)
            farmer = village.farmers[0]
            paid = farmer.evidence().paid
            await lose_chain_in_claim(village, opened, farmer)
            with pytest.raises(StageCollapsed, match=r"no answer from the chain at .* start the chain"):
                await farmer.start()
            village.wire.mend()
            await farmer.start()
            await until(lambda: is_paid(village, farmer, paid))  # by what was queued: nobody asked again
            await meet_another_genesis(village, opened, farmer)

    run(story())


async def is_paid(village: Village, farmer: Farmer, total: int) -> bool:
    balance = await village.balance(farmer.payee)
    assert balance in {0, total}
    return balance == total


async def is_troubled(farmer: Farmer, words: str) -> bool:
    """Whether the daemon itself, which must be there, names this trouble."""
    assert farmer.alive
    return any(words in said for said in (await farmer.status()).trouble)


async def lose_chain_in_claim(village: Village, opened: OpenRenter, farmer: Farmer) -> None:
    """Let the chain go away the moment a claim is signed, and later kill the farmer that waits for it."""
    held = farmer.evidence()
    trap = village.wire.set_trap(b"eth_sendRawTransaction", Moment.ASKED, village.wire.cut)
    claiming = asyncio.create_task(farmer.claim())
    try:
        await asyncio.wait_for(trap.sprung.wait(), PATIENCE)
        await until(lambda: is_troubled(farmer, "no answer from the chain"))
        assert farmer.evidence() == held
        await audit_in_peace(village, opened)  # work goes on meanwhile
        assert (await farmer.status()).claimed == 0
    finally:
        await farmer.kill()
        await asyncio.gather(claiming, return_exceptions=True)


async def meet_another_genesis(village: Village, opened: OpenRenter, farmer: Farmer) -> None:
    """Put another chain in the place of the one that is gone: nothing is claimed there, nothing forgotten."""
    await asyncio.to_thread(village.anvil.stop)
    await until(lambda: is_troubled(farmer, "no answer from the chain"))
    with await asyncio.to_thread(LocalChain.start, ChainKind.ANVIL, block_time=0.2) as other:
        village.wire.mend(port_of(other))
        await until(lambda: is_troubled(farmer, ANOTHER))
        await audit_in_peace(village, opened)
        found = await farmer.tithe("farm", "status")
        assert any(ANOTHER in said for said in found["status"]["trouble"])
        assert int(found["status"]["claimable"]) > 0
        held = farmer.evidence()
        await farmer.kill()
        with pytest.raises(StageCollapsed, match=f"{ANOTHER}.* deploy again and use the new record"):
            await farmer.start()
        assert farmer.evidence() == held
