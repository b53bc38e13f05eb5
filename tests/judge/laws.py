"""Laws: what holds whoever has died, over what is on disk and on the chain. Each names its breaches.

The kill matrix and the soak are judged by the same ones. `AT_ALL_TIMES` hold between any two moments,
`AT_REST` once everybody has caught up with the chain.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain as joined
from typing import Final

from tests.judge.books import Books, Side, Signed
from tests.judge.chain import Chain, OnChain

DONE: Final = "done"
FROZEN: Final = "frozen"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything there is to judge by. `renters` and `farmers` are all nodes, `before` is earlier evidence.

    max_exposure: what a farmer lends. read_price: of the largest read. extras: what renters may have paid
    beside audits and reads, in all (arrears, storage ahead). robbed: shards that were taken from farmers.
    """

    chain: Chain
    events: dict[bytes, OnChain]
    renters: tuple[Books, ...]
    farmers: tuple[Books, ...]
    max_exposure: int
    read_price: int
    extras: int = 0
    robbed: frozenset[bytes] = frozenset()
    before: "Evidence | None" = None
    disturbed: bool = False
    """Whether blocks or rows were taken away by hand, and whose they were has not looked yet."""
    signatures: set[tuple[Signed, bytes]] = field(default_factory=set)
    """Those found good already: recovering one takes milliseconds."""

    @property
    def books(self) -> tuple[Books, ...]:
        """Those of all nodes."""
        return (*self.renters, *self.farmers)

    def pairs(self) -> Iterator[tuple[bytes, Side, Side]]:
        """The channels that both sides know: the renter's side, the farmer's."""
        for renter in self.renters:
            for farmer in self.farmers:
                for channel in renter.sides.keys() & farmer.sides.keys():
                    yield channel, renter.sides[channel], farmer.sides[channel]


Breaches = Iterator[str]


def signed_le_funded(evidence: Evidence) -> Breaches:
    """SIGNED_LE_FUNDED: no voucher is above the deposit on chain, signed by nobody, or not written down."""
    most = Counter[bytes]()
    for books in evidence.books:
        for voucher in books.vouchers:
            funded = evidence.events.get(voucher.channel)
            deposit = funded.deposit if funded else 0
            most[voucher.channel] = max(most[voucher.channel], voucher.total)
            if voucher.total > deposit:
                yield f"{books.name} holds a voucher of {voucher.total} over a deposit of {deposit}"
            if not _is_signed(evidence, voucher, books.sides[voucher.channel].signer):
                yield f"{books.name} holds a voucher of {voucher.total} that was not signed"
    for renter in evidence.renters:
        for channel, side in renter.sides.items():
            if most[channel] > side.signed:
                yield f"{renter.name} has written {side.signed} down and signed {most[channel]}"


def _is_signed(evidence: Evidence, voucher: Signed, signer: bytes) -> bool:
    known = (voucher, signer)
    if known not in evidence.signatures:
        who = evidence.chain.signer(voucher.channel, voucher.total, voucher.condition, voucher.signature)
        if who != signer:
            return False
        evidence.signatures.add(known)
    return True


def one_audit_one_increment(evidence: Evidence) -> Breaches:
    """ONE_AUDIT_ONE_INCREMENT: a channel has earned its passed audits, each once, and paid reads.

    More may have been claimed by the proof of an open audit that the renter has not heard of yet.
    """
    for renter in evidence.renters:
        conditions = Counter(audit.condition for audit in renter.audits)
        if any(times > 1 for times in conditions.values()):
            yield f"{renter.name} has asked for one proof twice"
        audited, waiting = Counter[bytes](), Counter[bytes]()
        for audit in renter.audits:
            audited[audit.channel] += sum(audit.passed.values())
            waiting[audit.channel] += audit.step if audit.open else 0
            if audit.passed and sum(audit.passed.values()) != audit.step:
                yield f"{renter.name} passed a part of an audit"
        for channel, side in renter.sides.items():
            reads = sum(price for farmer in evidence.farmers for price in farmer.reads.get(channel, ()))
            earned, least = max(side.accepted, side.claimed), audited[channel]
            proven = waiting[channel] if side.claimed > side.accepted else 0
            if not least <= earned <= least + reads + evidence.extras + proven:
                yield f"{renter.name} says {earned} is earned: audits {least}, reads {reads}"


def acked_survives(evidence: Evidence) -> Breaches:
    """ACKED_SURVIVES: what one side was told of, the other still has: vouchers, proofs, shards."""
    audited = Counter[bytes]()
    for renter in evidence.renters:
        for audit in renter.audits:
            audited[audit.channel] += sum(audit.passed.values())
    for channel, mine, its in evidence.pairs():
        if mine.delivered > max(its.paid, its.claimed):
            yield f"{mine.delivered} was acknowledged, the farmer holds {its.paid}"
        held, earned = max(its.paid, its.proven, its.claimed), mine.accepted - evidence.extras
        if held < max(audited[channel], earned):
            yield f"proofs of {audited[channel]} were seen, {mine.accepted} earned, {held} is held"
    if evidence.disturbed:
        return
    kept = frozenset[bytes]().union(*(farmer.stored for farmer in evidence.farmers))
    for renter in evidence.renters:
        for lost in renter.stored - kept - evidence.robbed:
            yield f"{renter.name} has a countersignature for {lost.hex()[:16]}, no farmer stores it"


def never_regress(evidence: Evidence) -> Breaches:
    """NEVER_REGRESS: no total is lower than it was."""
    if evidence.before is None:
        return
    totals = ("signed", "accepted", "claimed", "paid", "proven", "delivered")
    old = {books.name: books for books in evidence.before.books}
    for books in evidence.books:
        for channel, was in old[books.name].sides.items() if books.name in old else ():
            now = books.sides.get(channel)
            for name in totals:
                if now is None or getattr(now, name) < getattr(was, name):
                    yield f"{books.name} has forgotten {name} {getattr(was, name)} of {channel.hex()[:16]}"


def exposure_cap(evidence: Evidence) -> Breaches:
    """EXPOSURE_CAP: a farmer never lends more than it said, a renter risks one read."""
    for _, mine, its in evidence.pairs():
        lent = max(0, its.proven - max(its.paid, its.claimed))
        if lent > evidence.max_exposure:
            yield f"{lent} is proven and not paid, {evidence.max_exposure} is the most"
        ahead = mine.paid - max(mine.accepted, mine.claimed)
        if ahead > evidence.read_price:
            yield f"{ahead} is paid ahead, a read costs {evidence.read_price}"


def paid_means_event(evidence: Evidence) -> Breaches:
    """PAID_MEANS_EVENT: what is said to be paid or done has its event, or its transaction, on the chain."""
    if evidence.disturbed:
        return
    for books in evidence.books:
        for channel, side in books.sides.items():
            seen = evidence.events.get(channel)
            paid = seen.claimed if seen else 0
            if side.claimed > paid and side.status not in {CLOSED, FROZEN}:
                yield f"{books.name} says {side.claimed} was paid, the chain {paid}"
        for queued in books.outbox:
            if queued.state == DONE and not (queued.final and evidence.chain.succeeded(queued.final)):
                yield f"{books.name} says that transaction {queued.nonce} is done; it is not on the chain"


def nonce_dense(evidence: Evidence) -> Breaches:
    """NONCE_DENSE: a key's nonces leave no gap, and each was given to one wish."""
    if evidence.disturbed:
        return
    nonces: defaultdict[bytes, list[int]] = defaultdict(list)
    for queued in joined.from_iterable(books.outbox for books in evidence.books):
        if queued.nonce is not None:
            nonces[queued.sender].append(queued.nonce)
    for sender, used in nonces.items():
        if sorted(used) != list(range(len(used))):
            yield f"0x{sender.hex()} has used the nonces {sorted(used)}"


def reorg_converge(evidence: Evidence) -> Breaches:
    """REORG_CONVERGE: every channel in the books is what all events since the genesis make of it."""
    for books in evidence.books:
        for channel, side in books.sides.items():
            seen = evidence.events.get(channel) or OnChain(b"", b"")
            told = (side.deposit, side.closes_at)
            if side.status == FROZEN or told != (seen.deposit, seen.closes_at):
                yield f"{books.name} has {told} {side.status}, the chain {seen}"
            if side.status != CLOSED and side.claimed != seen.claimed:
                yield f"{books.name} has {side.claimed} claimed, the chain {seen.claimed}"


def all_sent(evidence: Evidence) -> Breaches:
    """NONCE_DENSE, at rest: what has a nonce is on the chain, and nothing else is."""
    for books in evidence.books:
        for sender in {queued.sender for queued in books.outbox}:
            used = [one.nonce for one in books.outbox if one.sender == sender and one.nonce is not None]
            mined = evidence.chain.nonce(sender)
            if mined != len(used):
                yield f"{books.name} has given {len(used)} nonces to 0x{sender.hex()}, {mined} were mined"


def claim_before_deadline(evidence: Evidence) -> Breaches:
    """CLAIM_BEFORE_DEADLINE: a farmer whose channel was taken back had claimed all that it held.

    Of farmers that could: it is for those to ask who have let them.
    """
    for channel, _, its in evidence.pairs():
        seen, held = evidence.events.get(channel), max(its.paid, its.proven)
        if seen and seen.withdrawn and seen.claimed < held:
            yield f"{held} was held for {channel.hex()[:16]}, {seen.claimed} was claimed before its end"


Law = Callable[[Evidence], Breaches]
AT_ALL_TIMES: Final[tuple[Law, ...]] = (
    signed_le_funded,
    one_audit_one_increment,
    acked_survives,
    never_regress,
    exposure_cap,
    paid_means_event,
    nonce_dense,
)
AT_REST: Final[tuple[Law, ...]] = (*AT_ALL_TIMES, reorg_converge, all_sent)


def judge(evidence: Evidence, laws: tuple[Law, ...]) -> list[str]:
    """Every breach of these laws, by the law's name."""
    return [f"{law.__name__.upper()}: {breach}" for law in laws for breach in law(evidence)]
