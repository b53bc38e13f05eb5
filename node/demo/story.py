"""The story: a file is stored, audited and paid for; farmers die; it is read back, and all is settled.

Every step goes through the same objects the commands use. What is checked at the end is read from the token
contract and from the returned file, never from what a step said about itself.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from node.audit import Outcome
from node.demo.cast import Actor, Fate, Shape, let_rot, throw_away
from node.demo.ending import Audits, Balances, Ending, FarmerEnding, GasUsed, StoredFile
from node.demo.offers import deposit_for, tokens
from node.demo.stages import Stage
from node.renter.reports import AuditReport, Fault
from payments.types import Amount, NodeId, Seconds
from settlement.chain_events import ChannelClaimed

STORED: Final = Seconds(30 * 86_400)
FILE: Final = "story"


class Narrator(Protocol):
    """Who is told what happens while it happens."""

    def step(self, title: str) -> None:
        """A new step begins."""
        ...

    def say(self, sentence: str) -> None:
        """Something worth knowing has happened in it."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Bytes of a transfer, done and in total."""
        ...


@dataclass(slots=True)
class _Plot:
    """What has happened so far."""

    fates: dict[NodeId, Fate]
    audits: dict[NodeId, Audits] = field(default_factory=dict)
    gas: GasUsed = field(default_factory=lambda: GasUsed(0, 0, 0))
    segments: int = 0
    before: dict[NodeId, Amount] = field(default_factory=dict)
    claim_gas: dict[NodeId, int] = field(default_factory=dict)
    claimed: dict[NodeId, Amount] = field(default_factory=dict)


async def tell(stage: Stage, source: Path, shape: Shape, narrator: Narrator) -> Ending:
    """Play the story of `source` from the first to the last page."""
    began = time.monotonic()
    file = _describe(source)
    plot = _Plot({actor.node: Fate.SPARE for actor in stage.actors})
    before = await _balances(stage)
    await _fund(stage, file, shape, plot, narrator)
    await _store(stage, source, shape, plot, narrator)
    await _audit(stage, plot, narrator, first=1, last=1)
    villains = _turn_bad(stage, shape, plot, narrator)
    await _go_offline(villains, plot)
    await _audit(stage, plot, narrator, first=2, last=shape.rounds)
    await _kill(stage, shape, plot, narrator)
    retrieved = await _read_back(stage, narrator)
    await _claim(stage, plot, narrator)
    await _withdraw(stage, plot, narrator)
    after = await _balances(stage)
    return Ending(
        chain=stage.name,
        k=shape.k,
        n=shape.n,
        file=file,
        segments=plot.segments,
        retrieved_sha256=retrieved,
        farmers=_farmers(stage, plot, after),
        before=before,
        after=after,
        gas=plot.gas,
        seconds=time.monotonic() - began,
    )


async def _fund(stage: Stage, file: StoredFile, shape: Shape, plot: _Plot, narrator: Narrator) -> None:
    narrator.step(f"The renter funds channels to {len(stage.actors)} farmers")
    for actor in stage.actors:
        await stage.renter.peers.add(actor.url)
    funding = stage.renter.funding
    report = await funding.fund(await funding.plan(amount=deposit_for(file.bytes, shape)))
    plot.gas = GasUsed(fund=report.receipts[-1].gas_used, claim=0, withdraw=0)
    each = plot.gas.fund // len(stage.actors)
    narrator.say(f"one transaction, {plot.gas.fund:,} gas, {each:,} a farmer")


async def _store(stage: Stage, source: Path, shape: Shape, plot: _Plot, narrator: Narrator) -> None:
    narrator.step(f"{source.name} is encrypted, cut into {shape.n} shards ({shape.k} rebuild it) and stored")
    report = await stage.renter.files.put(
        source,
        FILE,
        k=shape.k,
        n=shape.n,
        segment_size=shape.segment_size,
        seconds=STORED,
        progress=narrator.progress,
    )
    plot.fates |= dict.fromkeys(report.farmers, Fate.HONEST)
    _say_faults(report.faults, stage, narrator)
    plot.segments = report.file.segments
    narrator.say(f"{report.file.segments} segment(s), agreements signed by both sides")


async def _audit(stage: Stage, plot: _Plot, narrator: Narrator, *, first: int, last: int) -> None:
    for number in range(first, last + 1):
        narrator.step(f"Audit round {number}: every farmer must prove what it stores")
        report = await stage.renter.audits.audit()
        for node, audits in _count(report).items():
            plot.audits[node] = plot.audits.get(node, Audits()) + audits
        total = sum(_count(report).values(), Audits())
        paid = sum(payment.added for payment in report.payments)
        narrator.say(
            f"{total.passed} passed, {total.failed} failed, {total.offline} offline;"
            f" {tokens(paid)} tokens paid by voucher"
        )


def _count(report: AuditReport) -> Mapping[NodeId, Audits]:
    found: dict[NodeId, Counter[Outcome]] = {}
    for result in report.results:
        found.setdefault(result.farmer, Counter())[result.outcome] += 1
    return {
        node: Audits(
            passed=outcomes[Outcome.PASSED],
            failed=outcomes[Outcome.FAILED],
            offline=outcomes[Outcome.OFFLINE],
        )
        for node, outcomes in found.items()
    }


def _turn_bad(stage: Stage, shape: Shape, plot: _Plot, narrator: Narrator) -> dict[Fate, Actor]:
    narrator.step("Things go wrong")
    plot.before = {info.farmer: info.paid for info in stage.renter.channels.list() if info.farmer}
    holders = [actor for actor in stage.actors if plot.fates[actor.node] is Fate.HONEST]
    villains = dict(zip(shape.villains, holders, strict=False))
    for fate, actor in villains.items():
        plot.fates[actor.node] = fate
        if fate is Fate.THREW_AWAY:
            throw_away(actor.shards)
        elif fate is Fate.CORRUPTED:
            let_rot(actor.shards)
        narrator.say(f"{actor.name} {fate.value}")
    return villains


async def _go_offline(villains: Mapping[Fate, Actor], plot: _Plot) -> None:
    for fate, actor in villains.items():
        if fate is Fate.WENT_OFFLINE:
            plot.fates[actor.node] = fate
            await actor.kill()


async def _kill(stage: Stage, shape: Shape, plot: _Plot, narrator: Narrator) -> None:
    narrator.step(f"{shape.n - shape.k} of {shape.n} farmers die, those among them")
    honest = [actor for actor in stage.actors if plot.fates[actor.node] is Fate.HONEST]
    for actor in honest[: shape.killed]:
        plot.fates[actor.node] = Fate.KILLED
    for actor in stage.actors:
        if plot.fates[actor.node] not in (Fate.HONEST, Fate.SPARE, Fate.WENT_OFFLINE):
            await actor.kill()
    narrator.say(f"{shape.k} are left")


async def _read_back(stage: Stage, narrator: Narrator) -> str:
    narrator.step("The file is read back")
    out = stage.scratch / "returned"
    report = await stage.renter.files.get(FILE, out, progress=narrator.progress)
    narrator.say(f"byte for byte, {tokens(report.paid)} tokens paid by voucher for the reading")
    await stage.renter.payments.pay_outstanding()
    return _sha256(out)


async def _claim(stage: Stage, plot: _Plot, narrator: Narrator) -> None:
    narrator.step("Farmers claim their vouchers; those that died come back with what was on their disks")
    await asyncio.gather(*(actor.claim() for actor in stage.actors))
    farmers = {info.channel.id: info.farmer for info in stage.renter.channels.list() if info.farmer}
    head = await stage.chain.head()
    for event in await stage.chain.events(stage.chain.deployment.deployed_block, head.number):
        receipt = await stage.chain.rpc.receipt(event.place.transaction)
        if isinstance(event, ChannelClaimed) and receipt is not None:
            farmer = farmers[event.channel_id]
            plot.claimed[farmer] = event.claimed
            plot.claim_gas[farmer] = plot.claim_gas.get(farmer, 0) + receipt.gas_used
    plot.gas = GasUsed(plot.gas.fund, sum(plot.claim_gas.values()), 0)
    narrator.say(f"{plot.gas.claim:,} gas in all")


async def _withdraw(stage: Stage, plot: _Plot, narrator: Narrator) -> None:
    period = stage.chain.deployment.challenge_period
    narrator.step(f"The renter asks to close, waits {period} s on the chain's clock and withdraws")
    exits = stage.renter.exits
    ids = [info.channel.id for info in stage.renter.channels.list()]
    closing = await exits.send(await exits.plan_close(ids))
    await stage.warp(period)
    withdrawing = await exits.send(await exits.plan_withdraw(ids))
    plot.gas = GasUsed(plot.gas.fund, plot.gas.claim, closing.gas + withdrawing.gas)
    narrator.say(f"{plot.gas.withdraw:,} gas for both")


async def _balances(stage: Stage) -> Balances:
    chain = stage.chain
    return Balances(
        supply=await chain.total_supply(),
        renter=await chain.token_balance(stage.payer),
        contract=await chain.token_balance(chain.deployment.contract),
        payees=tuple([await chain.token_balance(actor.payee) for actor in stage.actors]),
    )


def _farmers(stage: Stage, plot: _Plot, balances: Balances) -> tuple[FarmerEnding, ...]:
    infos = {info.farmer: info for info in stage.renter.channels.list()}
    return tuple(
        FarmerEnding(
            name=actor.name,
            fate=plot.fates[actor.node],
            audits=plot.audits.get(actor.node, Audits()),
            before=plot.before[actor.node],
            signed=infos[actor.node].paid,
            claimed=plot.claimed.get(actor.node, Amount(0)),
            balance=balance,
            gas=plot.claim_gas.get(actor.node, 0),
        )
        for actor, balance in zip(stage.actors, balances.payees, strict=True)
    )


def _say_faults(faults: tuple[Fault, ...], stage: Stage, narrator: Narrator) -> None:
    names = {actor.node: actor.name for actor in stage.actors}
    for fault in faults:
        narrator.say(f"{names.get(fault.farmer, 'a farmer')} {fault.trouble.value}: {fault.reason}")


def _describe(path: Path) -> StoredFile:
    return StoredFile(path.name, path.stat().st_size, _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
