"""A farmer daemon on a real embedded chain, and a plain renter that speaks to it over a real socket."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from node.agreement import Agreement, agreement_id, sign_agreement, sign_node_key
from node.api.limits import Limits
from node.audit import Challenge, Item, challenge_digest
from node.daemon import FarmerDaemon, Places, Rhythm
from node.errors import LeavesOutOfBounds
from node.farmer.config import FarmerConfig, Offer
from node.farmer.farmer import Farmer
from node.identity import NodeKey
from node.leaf_ranges import LeafRange, verify_range
from node.merkle import build_tree
from node.messages import (
    AgreementMessage,
    AgreementView,
    AuditAnswer,
    AuditRequest,
    ChallengeMessage,
    ChannelView,
    NodeInfo,
    OpenChannel,
    PayVoucher,
    ProposeAgreement,
    ReadShard,
    SignedVoucherMessage,
    TermsMessage,
)
from node.store_marker import NAME as MARKER
from node.transport import Patience, PeerRefused, Target, Transport
from payments.prices import Prices, Quote, step_price
from payments.types import ZERO32, Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import (
    SignedVoucher,
    SigningKey,
    Terms,
    Voucher,
    channel_id,
    channel_salt,
    sign_voucher,
)
from settlement.client import Chain
from settlement.local_chain import embedded
from settlement.rpc import Rpc
from settlement.wallet import new_key
from tests.settlement.support import World, world

PERIOD = Seconds(60)
DEPOSIT = Amount(10**18)
QUIET = Rhythm(follow=3600, collect=3600, sweep=3600, reload=0.05, towers=3600, scan=3600)
"""Nothing happens by itself: tests call what they test."""
PRICES = Prices(Amount(10**15), Amount(10**15), Amount(10**6))


class Clock:
    """Wall time that only tests move."""

    def __init__(self) -> None:
        self.now = int(time.time())

    def __call__(self) -> int:
        return self.now


def config(token: Address, **changes: Any) -> FarmerConfig:  # noqa: ANN401 - any field
    """A farmer for local chains: short periods, a small deposit."""
    offer = Offer(prices=PRICES, min_deposit=Amount(10**15), min_challenge_period=PERIOD)
    standard = FarmerConfig(Address(os.urandom(20)), (token,), offer=offer, capacity=10**7, keep_free=0)
    return replace(standard, **changes)


@dataclass
class Rig:
    """One chain, one farmer, one folder; the farmer can be stopped and started again."""

    world: World
    folder: Path
    config: FarmerConfig
    clock: Clock
    node_key: NodeKey
    gas_key: SigningKey | None
    daemon: FarmerDaemon
    limits: Limits | None = None

    @property
    def farmer(self) -> Farmer:
        return self.daemon.farmer

    @property
    def places(self) -> Places:
        return places(self.folder)

    async def restart(self) -> None:
        await self.daemon.stop()
        self.daemon = await build(self).start()

    @asynccontextmanager
    async def renter(
        self, deposit: int = DEPOSIT, *, opened: bool = True, key: NodeKey | None = None
    ) -> AsyncIterator["Renter"]:
        """A renter with a funded channel, which the farmer has accepted."""
        renter = Renter(self, key)
        try:
            if deposit:
                await renter.fund(deposit)
            if opened:
                await renter.open()
            yield renter
        finally:
            await renter.transport.close()


class Renter:
    """The other side, as plain as can be: it signs what a test tells it to."""

    def __init__(self, rig: Rig, key: NodeKey | None = None) -> None:
        self.rig = rig
        self.key = key or NodeKey(os.urandom(32))
        self.signer = new_key()
        self.transport = Transport(self.key, rig.clock, Patience(pause=0))
        deployment = rig.world.chain.deployment
        self.salt = channel_salt(deployment.genesis_hash, 0)
        self.terms = Terms(
            rig.world.payer.address,
            self.signer.address,
            rig.config.payee,
            deployment.token,
            PERIOD,
            self.salt,
        )
        self.domain = deployment.domain

    @property
    def target(self) -> Target:
        return Target(self.rig.farmer.farm.node, (self.rig.daemon.url,))

    @property
    def channel(self) -> ChannelId:
        return channel_id(self.domain, self.terms)

    async def fund(self, deposit: int) -> None:
        chain = self.rig.world.chain
        rows = [(self.terms.payee, Amount(deposit))]
        await self.rig.world.send(
            chain.calls.fund(
                self.signer.address, self.terms.challenge_period, self.salt, rows, self.terms.token
            )
        )

    async def close(self) -> None:
        chain = self.rig.world.chain
        period, payees = self.terms.challenge_period, [self.terms.payee]
        await self.rig.world.send(chain.calls.request_close(self.terms.signer, period, self.salt, payees))

    async def open(self) -> ChannelView:
        signature = sign_node_key(self.domain, self.key.node, self.signer)
        message = OpenChannel(terms=TermsMessage.of(self.terms), node_key_signature=signature)
        return await self.transport.post(self.target, "/v1/channels", message, ChannelView)

    async def see(self) -> ChannelView:
        return await self.transport.get(self.target, f"/v1/channels/0x{self.channel.hex()}", ChannelView)

    async def quote(self) -> Quote:
        info = await self.transport.describe(self.target, NodeInfo)
        return info.quote.core().quote

    async def agree(self, data: bytes, **changes: Any) -> Agreement:  # noqa: ANN401 - any field
        """Terms for `data` as the farmer's quote wants them."""
        quote, tree, now = await self.quote(), build_tree(data), self.rig.clock()
        terms = Agreement(
            renter=self.key.node,
            farmer=NodeId(self.target.node),
            shard_length=len(data),
            leaf_count=tree.leaf_count,
            data_root=tree.root,
            step=step_price(quote.prices, len(data), quote.audit_interval),
            audit_interval=quote.audit_interval,
            response_deadline=quote.response_deadline,
            grace=quote.grace,
            download_price=quote.prices.download_per_gb,
            start=Timestamp(now),
            end=Timestamp(now + 30 * 86_400),
        )
        return replace(terms, **changes)

    async def propose(self, terms: Agreement, *, signer: SigningKey | None = None) -> AgreementView:
        signature = sign_agreement(self.domain, terms, signer or self.signer)
        message = ProposeAgreement(agreement=AgreementMessage.of(terms), renter_signature=signature)
        return await self.transport.post(self.target, "/v1/agreements", message, AgreementView)

    async def upload(self, terms: Agreement, data: bytes) -> AgreementView:
        path = f"/v1/agreements/0x{self.name(terms).hex()}/shard"
        return await self.transport.upload(
            self.target, path, memoryview(data), data_root=terms.data_root, answer=AgreementView
        )

    async def propose_with(self, terms: Agreement, data: bytes, sent: list[int]) -> AgreementView:
        """Send the agreement with its shard, and note how much of that has left."""
        proposal = ProposeAgreement(
            agreement=AgreementMessage.of(terms),
            renter_signature=sign_agreement(self.domain, terms, self.signer),
        )
        return await self.transport.upload(
            self.target,
            f"/v1/agreements/0x{self.name(terms).hex()}/shard",
            memoryview(data),
            data_root=terms.data_root,
            answer=AgreementView,
            proposal=proposal,
            progress=sent.append,
        )

    async def store(self, data: bytes, **changes: Any) -> Agreement:  # noqa: ANN401 - any field
        terms = await self.agree(data, **changes)
        await self.propose(terms)
        await self.upload(terms, data)
        return terms

    async def agreement(self, terms: Agreement) -> AgreementView:
        path = f"/v1/agreements/0x{self.name(terms).hex()}"
        return await self.transport.get(self.target, path, AgreementView)

    async def delete(self, terms: Agreement) -> AgreementView:
        path = f"/v1/agreements/0x{self.name(terms).hex()}"
        return await self.transport.delete(self.target, path, AgreementView)

    async def read(self, terms: Agreement, offset: int, length: int, payment: SignedVoucher) -> bytes:
        """Read leaves and check what proves them; what are no leaves is asked for all the same."""
        message = ReadShard(offset=offset, length=length, payment=SignedVoucherMessage.of(payment))
        path = f"/v1/agreements/0x{self.name(terms).hex()}/read"
        try:
            leaves = LeafRange.of(offset, length, terms.shard_length)
        except LeavesOutOfBounds:
            return await self.transport.read(self.target, path, message, length)
        answer = await self.transport.read(self.target, path, message, length + leaves.proof_size)
        data, proof = answer[:length], answer[length:]
        assert verify_range(data, leaves, terms.shard_length, proof, terms.data_root)
        return data

    async def pay(self, voucher: SignedVoucher) -> ChannelView:
        message = PayVoucher(voucher=SignedVoucherMessage.of(voucher))
        return await self.transport.post(self.target, "/v1/vouchers", message, ChannelView)

    async def audit(
        self, challenge: Challenge, voucher: SignedVoucher, paid: SignedVoucher | None = None
    ) -> AuditAnswer:
        message = AuditRequest(
            paid=SignedVoucherMessage.of(paid) if paid else None,
            challenge=ChallengeMessage.of(challenge),
            voucher=SignedVoucherMessage.of(voucher),
        )
        return await self.transport.post(self.target, "/v1/audits", message, AuditAnswer)

    async def pass_audit(self, agreements: Sequence[Agreement], earned: int) -> int:
        """One whole audit: the payment for all earned so far, a challenge; the total earned after it."""
        challenge = self.challenge(agreements)
        paid = self.voucher(earned) if earned else None
        total = earned + sum(terms.step for terms in agreements)
        answer = await self.audit(challenge, self.conditional(challenge, total), paid)
        assert answer.root.status == "PROVEN", answer
        return total

    def name(self, terms: Agreement) -> bytes:
        return agreement_id(self.domain, terms)

    def voucher(
        self, total: int, *, condition: bytes = ZERO32, signer: SigningKey | None = None
    ) -> SignedVoucher:
        promise = Voucher(self.channel, Amount(total), condition)
        return sign_voucher(self.domain, promise, signer or self.signer)

    def challenge(self, agreements: Sequence[Agreement], *indices: int) -> Challenge:
        items = [Item(self.name(one), one.data_root, one.leaf_count, indices or (0,)) for one in agreements]
        return Challenge(os.urandom(32), tuple(items))

    def conditional(self, challenge: Challenge, total: int) -> SignedVoucher:
        return self.voucher(total, condition=challenge_digest(self.domain, challenge))


def places(folder: Path) -> Places:
    return Places(
        money=folder / "money.db",
        stats=folder / "stats.db",
        shards=folder / "shards",
        config=folder / "config.json",
        running=folder / "running.json",
    )


def build(rig: Rig, rhythm: Rhythm = QUIET, *, accept_loss: bool = False) -> FarmerDaemon:
    chain = rig.world.chain
    return FarmerDaemon(
        rig.config,
        chain.deployment,
        rig.places,
        rig.node_key,
        gas_key=rig.gas_key,
        chain=chain,
        clock=rig.clock,
        rhythm=rhythm,
        limits=rig.limits,
        accept_loss=accept_loss,
    )


@asynccontextmanager
async def farming(
    folder: Path,
    *,
    limits: Limits | None = None,
    rhythm: Rhythm = QUIET,
    confirmations: int = 1,
    endpoint: str | None = None,
    **changes: Any,  # noqa: ANN401 - any field of the configuration
) -> AsyncIterator[Rig]:
    """A running farmer on a fresh chain, or on that of `endpoint`."""
    async with world(endpoint or embedded(), confirmations=confirmations) as scene:
        settings = config(scene.chain.deployment.token, **changes)
        settings.save(places(folder).config or folder)
        clock = Clock()
        key = NodeKey(os.urandom(32))
        draft = Rig(scene, folder, settings, clock, key, scene.stranger, None, limits)  # type: ignore[arg-type]
        draft.daemon = build(draft, rhythm)
        async with draft.daemon:
            try:
                yield draft
            finally:
                await draft.daemon.stop()


def kept_files(shards: Path) -> list[Path]:
    """The files of a store that are shards, kept or coming in; not its marker, nor what is put aside."""
    found = [path for path in shards.rglob("*") if path.is_file() and path.name != MARKER]
    return [path for path in found if not {"trash", "quarantine"} & set(path.parts)]


def run(folder: Path, story: Callable[[Rig], Coroutine[Any, Any, None]], **changes: Any) -> None:  # noqa: ANN401
    """Tell a story about one farmer."""

    async def main() -> None:
        async with farming(folder, **changes) as rig:
            await story(rig)

    asyncio.run(main())


def content(length: int, seed: str = "shard") -> bytes:
    """Reproducible bytes."""
    return hashlib.shake_256(seed.encode()).digest(length)


async def refusal(attempt: Coroutine[Any, Any, object]) -> PeerRefused:
    """The refusal that a request meets."""
    try:
        await attempt
    except PeerRefused as refused:
        return refused
    raise AssertionError("the farmer did not refuse")


__all__ = ["Chain", "Clock", "Renter", "Rig", "Rpc", "content", "farming", "refusal", "run"]
