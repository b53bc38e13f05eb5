"""The Tower: takes vouchers from farmers, and claims with them when a payer has asked to close.

It keeps the newest vouchers of each channel and nothing else: an older copy changes nothing, and a claim with
one takes nothing away. A farmer that is awake claims at once; the tower waits until half of the challenge
period is over and claims what is still unclaimed then. The money goes to the payee, whoever sends the claim;
the gas is the tower's. Close requests are read from the contract's state at the newest block, so that there
is no history to catch up with.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from node.audit import MAX_CLAIM_BYTES, challenge_digest, claim_bytes, verify_proof
from node.clock import Clock
from node.db import Connection
from node.db.tower import Watched, count_watched, forget_watched, list_watched, load_watched, save_watched
from node.errors import ChallengeTooLarge, EmptyChallenge
from node.messages import ProvenMessage
from node.packed_proof import pack_proof
from node.tower.errors import NothingToWatch, NotServed, TooManyWatched, UnproductiveProof
from node.watch_messages import WatchChannel, WatchedChannel
from payments.errors import SignatureError, WrongSigner
from payments.types import ZERO32, Amount, ChannelId, NodeId, Timestamp
from payments.vouchers import SignedVoucher, SigningKey, Terms, channel_id, voucher_digest, voucher_signer
from settlement.calls import Claim
from settlement.chain_events import Reason
from settlement.claims import Outcome, plan_claims, send_claims
from settlement.client import Chain, ChannelState
from settlement.database import Database
from settlement.errors import ChainError
from settlement.fees import GWEI
from settlement.outbox import Outbox

log = logging.getLogger("tithebarn.tower")

CEILING = 3_000 * GWEI
"""What a unit of gas may cost: a claim that waits is lost."""
MAX_CHANNELS = 10_000
"""Of one farmer."""
KEPT_SECONDS = 30 * 86_400
"""A channel that has closed is kept for so long: no reorganisation comes after it."""
_UNPROVEN = (Reason.BAD_PROOF, Reason.BAD_SIGNATURE, Reason.TOO_LARGE)
"""A proof that is shown once and not again."""


@dataclass(slots=True)
class Tower:
    """One watchtower. `serves`: the nodes it works for; None: anybody who knows it."""

    database: Database
    chain: Chain
    gas_key: SigningKey
    clock: Clock
    serves: Collection[NodeId] | None = None
    trouble: str | None = None
    _outbox: Outbox = field(init=False)
    _refused: set[bytes] = field(default_factory=set)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.database, self.chain, ceiling=CEILING)

    def knows(self, node: NodeId) -> bool:
        """Whether it works for this node."""
        return self.serves is None or node in self.serves

    async def watch(self, node: NodeId, message: WatchChannel) -> WatchedChannel:
        """Take a channel's vouchers; on disk when this returns, unless better ones were already.

        Raises WatchRefused, BadChallenge, PaymentError, and ChainError where a contract signs and cannot be
        asked.
        """
        if not self.knows(node):
            raise NotServed(node)
        brought = await asyncio.to_thread(self._read, node, message)
        for signed in (brought.paid, brought.proven):
            if signed is not None:
                await self._check_signer(brought.terms, signed)

        def step(conn: Connection) -> Watched:
            known = load_watched(conn, node, brought.channel_id)
            if known is None and count_watched(conn, node) >= MAX_CHANNELS:
                raise TooManyWatched(MAX_CHANNELS)
            newest = brought if known is None else _newest(known, brought)
            if newest != known:
                save_watched(conn, newest)
            return newest

        kept = await self.database.write(step)
        return WatchedChannel(
            channel_id=kept.channel_id,
            paid=_total(kept.paid),
            proven=_total(kept.proven),
            gas_key=self.gas_key.address,
        )

    def _read(self, node: NodeId, message: WatchChannel) -> Watched:
        """Check that the vouchers are of this channel, and the proof the one promised."""
        terms = message.terms.core()
        name = channel_id(self.chain.domain, terms)
        if message.paid is None and message.proven is None:
            raise NothingToWatch(name)
        watched = Watched(node, name, terms)
        if message.paid is not None:
            paid = _of(name, message.paid.core())
            if paid.voucher.condition != ZERO32:
                raise UnproductiveProof(name, "the payment has a condition")
            watched = replace(watched, paid=paid)
        if message.proven is not None:
            proven = _of(name, message.proven.voucher.core())
            watched = replace(watched, proven=proven, proof=self._pack(proven, message.proven))
        return watched

    def _pack(self, proven: SignedVoucher, brought: ProvenMessage) -> bytes:
        """Check that the contract will take this proof, in one transaction, and pack it as it reads it."""
        name, challenge, proof = proven.voucher.channel_id, brought.challenge.core(), brought.proof.core()
        if not challenge.items:
            raise EmptyChallenge(challenge.audit_id)
        size = sum(map(claim_bytes, challenge.items))
        if size > MAX_CLAIM_BYTES:
            raise ChallengeTooLarge(size, MAX_CLAIM_BYTES)
        if challenge_digest(self.chain.domain, challenge) != proven.voucher.condition:
            raise UnproductiveProof(name, "the challenge is another one")
        for verdict in verify_proof(challenge, proof):
            if verdict.fault:
                raise UnproductiveProof(name, verdict.fault.value)
        return pack_proof(challenge, proof)

    async def _check_signer(self, terms: Terms, signed: SignedVoucher) -> None:
        """Check that the channel's signer has signed: its key, or the contract it is says so (ERC-1271)."""
        domain = self.chain.domain
        try:
            signer = await asyncio.to_thread(voucher_signer, domain, signed)
        except SignatureError as error:
            refusal = error
        else:
            if signer == terms.signer:
                return
            refusal = WrongSigner(terms.signer, signer)
        digest = voucher_digest(domain, signed.voucher)
        if not await self.chain.account_accepts(terms.signer, digest, signed.signature, block="latest"):
            raise refusal

    async def begin(self) -> None:
        """Give transactions that an earlier run has queued their key back."""
        try:
            await self._outbox.resume([self.gas_key])
        except ChainError as error:
            self._report(str(error))

    async def look(self) -> tuple[Outcome, ...]:
        """Look at every channel once, and claim what cannot wait for its farmer any longer.

        A chain that does not play along is `trouble`, and the next look tries again.
        """
        async with self._lock:
            try:
                claims = await self._due()
                if not claims:
                    await self._outbox.tick()
                    self.trouble = None
                    return ()
                plan = await plan_claims(self.chain, claims, self.gas_key.address)
                outcomes = await send_claims(self.chain, self._outbox, plan, self.gas_key)
            except ChainError as error:
                self._report(str(error))
                return ()
            self.trouble = None
            self._tell(outcomes, claims)
            return outcomes

    async def _due(self) -> list[Claim]:
        watched = self.database.read(lambda conn: list(list_watched(conn)))
        head = await self.chain.head()
        now = Timestamp(max(head.timestamp, self.clock()))
        due: dict[ChannelId, Claim] = {}
        states = await self.chain.channel_states([one.channel_id for one in watched])
        for one, state in zip(watched, states, strict=True):
            claim, name = self._claim(one, state), one.channel_id
            if claim is None and state.closes_at and now >= state.closes_at + KEPT_SECONDS:
                await self.database.write(partial(forget_watched, channel=name))
            if claim is not None and _late(one.terms, state, now):
                best = max((due.get(name, claim), claim), key=lambda it: it.voucher.total)
                due[name] = best
        return list(due.values())

    def _claim(self, one: Watched, state: ChannelState) -> Claim | None:
        """Choose what brings most: the proven voucher, unless the contract has refused its proof."""
        best = one.paid
        proven = one.proven
        if (
            proven is not None
            and proven.voucher.condition not in self._refused
            and _total(proven) > _total(best)
        ):
            best = proven
        if best is None or min(best.total, state.deposit) <= state.claimed:
            return None
        return Claim(one.terms, best, one.proof if best is proven else b"")

    def _tell(self, outcomes: Sequence[Outcome], claims: Sequence[Claim]) -> None:
        promised = {claim.voucher.voucher.channel_id: claim.voucher.voucher for claim in claims}
        for outcome in outcomes:
            voucher, name = promised[outcome.channel_id], outcome.channel_id.hex()
            if outcome.claimed is not None:
                log.info("claimed_for_farmer channel=%s total=%d", name, outcome.claimed)
                continue
            log.warning("claim_skipped channel=%s reason=%s", name, outcome.reason.name)
            if outcome.reason in _UNPROVEN and voucher.condition != ZERO32:
                self._refused.add(voucher.condition)

    def _report(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("tower_waits reason=%s", trouble)
        self.trouble = trouble


def _of(name: ChannelId, signed: SignedVoucher) -> SignedVoucher:
    if signed.voucher.channel_id != name:
        raise NothingToWatch(name)
    return signed


def _newest(known: Watched, brought: Watched) -> Watched:
    """Keep the higher total of each kind: what is older has been replaced."""
    if _total(brought.paid) > _total(known.paid):
        known = replace(known, paid=brought.paid)
    if _total(brought.proven) > _total(known.proven):
        known = replace(known, proven=brought.proven, proof=brought.proof)
    return known


def _total(signed: SignedVoucher | None) -> Amount:
    return signed.total if signed else Amount(0)


def _late(terms: Terms, state: ChannelState, now: Timestamp) -> bool:
    """Whether half of the time is over in which the farmer could have claimed by itself."""
    return state.closes_at > 0 and 2 * (state.closes_at - now) <= terms.challenge_period
