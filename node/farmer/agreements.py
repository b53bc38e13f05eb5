"""Agreements as a farmer keeps them, from proposal to end, and the shards they are about.

A proposal reserves room, with its shard or before it; the shard streams to a temporary file while its root is
computed; only when root and length are the agreed ones, and the file is durable under its final name, the
agreement is countersigned in the books, and only then the renter hears of it. What is refused is refused
before a byte of the shard is read. What ends gives its room back: in the books, then on disk.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from node.agreement import (
    Agreement,
    agreement_id,
    check_terms,
    countersign_agreement,
    verify_renter,
)
from node.db import Connection
from node.db.farmer import list_books, save_book, save_books
from node.db.farmer_agreements import (
    FarmerAgreement,
    RenterSums,
    count_unsigned,
    list_agreements,
    list_same_shard,
    load_agreement,
    load_sums,
    save_agreement,
)
from node.errors import BadAgreement, MalformedMessage, NodeError, WrongRenterSignature
from node.farmer.contract_signers import find_agreeing
from node.farmer.errors import (
    AgreementNotFound,
    AgreementOver,
    ExposureExceeded,
    NoChannel,
    NotStored,
    TooManyProposals,
    WrongDataRoot,
    WrongRenter,
    WrongUploadLength,
)
from node.farmer.farm import Farm, check_exposure
from node.farmer.offer import Offers
from node.farmer.room import find_room
from node.messages import AgreementState, AgreementView
from node.shard_store import IncomingShard
from payments.channel import Status
from payments.debt import end_storage, grow_storage
from payments.errors import PaymentError
from payments.prices import storage_price
from payments.types import Address, NodeId, Timestamp, to_amount
from settlement.tables import load_channel

log = logging.getLogger("tithebarn.farmer")

MAX_WAITING = 256
"""Proposals of one renter that may wait for their shards."""
MAX_UNSIGNED = 4_096
"""Proposals of one renter that came to nothing and are not forgotten yet."""
PIECE = 512 * 1024
"""Bytes of an upload that are hashed and written at a time."""
_OVER = (AgreementState.EXPIRED, AgreementState.DELETED, AgreementState.LOST)


@dataclass(frozen=True, slots=True)
class Proposal:
    """An agreement that a renter has signed."""

    terms: Agreement
    renter_signature: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """A shard on its way: the agreement it is for, the length that its request announced, and its bytes."""

    agreement: bytes
    length: int
    chunks: AsyncIterator[bytes]


async def propose(
    farm: Farm,
    offers: Offers,
    node: NodeId,
    terms: Agreement,
    renter_signature: bytes,
    *,
    shares: bool = False,
) -> AgreementView:
    """Accept terms and reserve room for the shard. Proposing the same again changes nothing.

    shares: the caller will let a renewal share the file of the agreement it renews: it needs no room then.
    Raises WrongRenter, BadAgreement, PaymentError, PaymentRequired, CapacityExceeded, AgreementOver, and
    ChainError where a contract signs and cannot be asked.
    """
    name = agreement_id(farm.domain, terms)
    proposed = _proposed(farm, name, terms, renter_signature)
    return view(await _propose(farm, offers, node, proposed, shares=shares))


async def accept(
    farm: Farm, offers: Offers, node: NodeId, proposal: Proposal, upload: Upload
) -> AgreementView:
    """Accept terms, then take the shard that comes with them. Raises as `propose` and `receive`.

    The bytes of a shard that is stored already are not read.
    """
    terms = proposal.terms
    name = agreement_id(farm.domain, terms)
    if name != upload.agreement:
        raise MalformedMessage("path", "it names another agreement than is proposed")
    if upload.length != terms.shard_length:
        raise WrongUploadLength(upload.length, terms.shard_length)
    async with farm.lock(name):  # one at a time: the room reserved is for one
        proposed = _proposed(farm, name, terms, proposal.renter_signature)
        record = await _propose(farm, offers, node, proposed)
        if record.state is AgreementState.PROPOSED:
            await _take(farm, record, upload.chunks)
            record = await countersign(farm, record)
    return view(record)


def agreed_root(farm: Farm, node: NodeId, name: bytes) -> bytes:
    """Return the data root an upload must be authenticated with. Raises AgreementNotFound."""
    record = farm.database.read(lambda conn: load_agreement(conn, name))
    return _mine(record, name, node).agreement.data_root


async def receive(farm: Farm, node: NodeId, upload: Upload) -> AgreementView:
    """Take a shard's bytes, and countersign if they are what was agreed. Nothing is kept of any other.

    A shard that is stored already is read to its end and thrown away.
    Raises NotFound, AgreementOver, NoChannel, ShardRefused, StoreFault.
    """
    name, chunks = upload.agreement, upload.chunks
    record = _mine(farm.database.read(lambda conn: load_agreement(conn, name)), name, node)
    if record.state in _OVER:
        raise AgreementOver(name, record.state.value)
    terms = record.agreement
    if upload.length != terms.shard_length:
        raise WrongUploadLength(upload.length, terms.shard_length)
    if record.state is AgreementState.STORED:
        await _drain(chunks)
        return view(record)
    agreeing = await find_agreeing(farm, node, name, record.renter_signature)
    farm.database.read(lambda conn: check_signer(conn, farm, record, agreeing))  # may be closing by now
    async with farm.lock(name):  # one at a time: the room reserved is for one
        if see(farm, node, name).state is AgreementState.PROPOSED:
            await _take(farm, record, chunks)
        else:
            await _drain(chunks)
        return view(await countersign(farm, record))


async def remove(farm: Farm, node: NodeId, name: bytes) -> AgreementView:
    """End an agreement at its renter's wish. Raises AgreementNotFound."""
    record = _mine(farm.database.read(lambda conn: load_agreement(conn, name)), name, node)
    return view(await end(farm, record, AgreementState.DELETED))


async def end(
    farm: Farm, record: FarmerAgreement, state: AgreementState, *, unpaid: bool = False
) -> FarmerAgreement:
    """End an agreement, EXPIRED or DELETED: in the books first, so that no stored one lacks its shard.

    What is owed for its time stays owed, in the same transaction; not if it ends because it is `unpaid`: the
    farmer has taken its storage back, and a renter that was away cannot know since when.
    """
    now = farm.now()

    def step(conn: Connection) -> tuple[FarmerAgreement, bool]:
        known = load_agreement(conn, record.id) or record
        if known.state in _OVER:
            return known, False
        over = replace(known, state=state, since=now)
        after = save_agreement(conn, over).storage_rate
        if known.state is AgreementState.STORED and not unpaid:
            books, until = list_books(conn, over.agreement.renter), Timestamp(min(now, over.agreement.end))
            before = to_amount(after + known.storage_rate)
            accounts = end_storage([book.earnings for book in books], before, after, until)
            save_books(conn, (replace(book, earnings=one) for book, one in zip(books, accounts, strict=True)))
        twins = list_same_shard(conn, over.agreement.renter, over.agreement.data_root)
        return over, any(twin.state is AgreementState.STORED for twin in twins)

    over, kept = await farm.database.write(step)
    await discard(farm, record.id, kept=kept)
    return over


async def discard(farm: Farm, shard: bytes, *, kept: bool = False) -> None:
    """Move a shard that nobody is owed any more into the trash, or away where there is none.

    kept: another agreement is about the same bytes; there is nothing to be sorry for then.
    """
    store = farm.store
    try:
        if farm.config.trash_seconds and not kept:
            await farm.run(store.put_aside, shard, store.trash, farm.now())
        else:
            await farm.run(store.delete, shard)
    except NodeError as fault:  # the next start does it
        log.warning("shard_left code=%s agreement=%s", fault.code, shard.hex())


def see(farm: Farm, node: NodeId, name: bytes) -> AgreementView:
    """Tell how an agreement stands. Raises AgreementNotFound."""
    return view(_mine(farm.database.read(lambda conn: load_agreement(conn, name)), name, node))


def stored_agreement(conn: Connection, name: bytes, node: NodeId, now: Timestamp) -> FarmerAgreement:
    """Return a running agreement of this renter. Raises NotFound, NotStored, AgreementOver."""
    return running(load_agreement(conn, name), name, node, now)


def running(record: FarmerAgreement | None, name: bytes, node: NodeId, now: Timestamp) -> FarmerAgreement:
    """Return the record if its shard is due to this renter now. Raises as `stored_agreement`."""
    record = _mine(record, name, node)
    if record.state is AgreementState.PROPOSED:
        raise NotStored(name)
    if record.state in _OVER or now >= record.agreement.end:
        over = record.state if record.state in _OVER else AgreementState.EXPIRED
        raise AgreementOver(name, over.value)
    return record


def view(record: FarmerAgreement) -> AgreementView:
    """Tell the renter how an agreement stands."""
    return AgreementView(agreement_id=record.id, state=record.state, farmer_signature=record.farmer_signature)


def _mine(record: FarmerAgreement | None, name: bytes, node: NodeId) -> FarmerAgreement:
    if record is None or record.agreement.renter != node:
        raise AgreementNotFound(name)
    return record


def _abandoned(record: FarmerAgreement) -> bool:
    """Whether the proposal ran out before its shard came: then it may be made again."""
    return record.state is AgreementState.EXPIRED and record.farmer_signature is None


def _proposed(farm: Farm, name: bytes, terms: Agreement, renter_signature: bytes) -> FarmerAgreement:
    now = farm.now()
    upload_by = Timestamp(now + farm.config.upload_seconds)
    return FarmerAgreement(name, terms, renter_signature, AgreementState.PROPOSED, now, upload_by)


async def _propose(
    farm: Farm, offers: Offers, node: NodeId, proposed: FarmerAgreement, *, shares: bool = False
) -> FarmerAgreement:
    """Write a proposal down, or find what has become of it."""
    terms = proposed.agreement
    if terms.renter != node:
        raise WrongRenter(terms.renter, node)
    refusal = await _find_objection(offers, terms, proposed.since)
    agreeing = await find_agreeing(farm, node, proposed.id, proposed.renter_signature)

    def step(conn: Connection) -> FarmerAgreement:
        known = load_agreement(conn, proposed.id)
        if known is None or _abandoned(known):
            if refusal is not None:
                raise refusal
            return _reserve(conn, farm, proposed, agreeing, shares=shares)
        if known.state in _OVER:
            raise AgreementOver(known.id, known.state.value)
        return known

    return await farm.database.write(step)


async def _find_objection(
    offers: Offers, terms: Agreement, now: Timestamp
) -> BadAgreement | PaymentError | None:
    """Hold the terms against every quote that is still good; what the current one has against them."""
    refusal: BadAgreement | PaymentError | None = None
    for quote in await offers.good_quotes():
        try:
            check_terms(terms, quote, now)
        except (BadAgreement, PaymentError) as error:
            refusal = refusal or error
        else:
            return None
    return refusal


def _reserve(
    conn: Connection, farm: Farm, proposed: FarmerAgreement, agreeing: set[Address], *, shares: bool
) -> FarmerAgreement:
    terms = proposed.agreement
    check_signer(conn, farm, proposed, agreeing)
    waiting = list_agreements(conn, state=AgreementState.PROPOSED, renter=terms.renter, limit=MAX_WAITING)
    if len(waiting) == MAX_WAITING:
        raise TooManyProposals(MAX_WAITING)
    if count_unsigned(conn, terms.renter, MAX_UNSIGNED) == MAX_UNSIGNED:
        raise TooManyProposals(MAX_UNSIGNED)
    check_exposure(conn, farm, load_sums(conn, terms.renter), proposed.since)
    if not (shares and _renews(conn, terms)):
        find_room(conn, farm, terms.shard_length)
    sums = save_agreement(conn, proposed)
    _check_interval(farm, sums, [*waiting, proposed], proposed)
    return proposed


def _renews(conn: Connection, terms: Agreement) -> bool:
    """Whether it renews one agreement, to share its file, and is the first to do so."""
    return [one.state for one in list_same_shard(conn, terms.renter, terms.data_root)] == [
        AgreementState.STORED
    ]


def _check_interval(
    farm: Farm, sums: RenterSums, waiting: list[FarmerAgreement], proposed: FarmerAgreement
) -> None:
    """Take no more than this farmer lends for one audit interval: it could never be kept."""
    rate = to_amount(sums.storage_rate + sum(one.storage_rate for one in waiting))
    due = storage_price(rate, proposed.agreement.audit_interval)
    if due > farm.config.max_exposure:
        raise ExposureExceeded(due, farm.config.max_exposure)


def check_signer(conn: Connection, farm: Farm, proposed: FarmerAgreement, agreeing: set[Address]) -> None:
    """Want the signature of a signer with an open channel here; `agreeing` are contracts that gave theirs.

    Raises NoChannel, WrongRenterSignature.
    """
    terms = proposed.agreement
    refusal: Exception = NoChannel(terms.renter)
    for book in list_books(conn, terms.renter):
        channel = load_channel(conn, book.channel_id)
        if channel is None or channel.status is not Status.FUNDED:
            continue
        if channel.terms.signer in agreeing:
            return
        try:
            verify_renter(farm.domain, terms, proposed.renter_signature, channel.terms.signer)
        except WrongRenterSignature as error:
            refusal = error
        else:
            return
    raise refusal


async def _take(farm: Farm, record: FarmerAgreement, chunks: AsyncIterator[bytes]) -> None:
    incoming = farm.store.receive()
    try:
        rest = await _write(farm, incoming, chunks)
        await farm.run(_keep, incoming, rest, record)
    finally:
        incoming.discard()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what is not needed, so that the connection can go on."""
    async for _ in chunks:
        pass


async def _write(farm: Farm, incoming: IncomingShard, chunks: AsyncIterator[bytes]) -> list[bytes]:
    """Write all but the last bytes; those are returned."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in chunks:
        if size >= PIECE:
            await farm.run(_append, incoming, waiting)
            waiting, size = [], 0
        waiting.append(chunk)
        size += len(chunk)
    return waiting


def _append(incoming: IncomingShard, chunks: list[bytes]) -> None:
    for chunk in chunks:
        incoming.write(chunk)


def _keep(incoming: IncomingShard, rest: list[bytes], record: FarmerAgreement) -> None:
    _append(incoming, rest)
    terms = record.agreement
    if incoming.length != terms.shard_length:
        raise WrongUploadLength(incoming.length, terms.shard_length)
    tree = incoming.finish()
    if tree.root != terms.data_root:
        raise WrongDataRoot(tree.root, terms.data_root)
    incoming.keep(record.id, tree)


async def countersign(farm: Farm, record: FarmerAgreement) -> FarmerAgreement:
    """Sign for a shard that is on the disk under its name, and write that down. Raises AgreementOver."""
    now = farm.now()
    signature = countersign_agreement(farm.domain, record.agreement, farm.key)

    def step(conn: Connection) -> FarmerAgreement:
        known = load_agreement(conn, record.id) or record
        if known.state is not AgreementState.PROPOSED:
            return known
        stored = replace(known, state=AgreementState.STORED, since=now, farmer_signature=signature)
        after = save_agreement(conn, stored).storage_rate
        before = to_amount(after - stored.storage_rate)
        for book in list_books(conn, record.agreement.renter):
            save_book(conn, replace(book, earnings=grow_storage(book.earnings, before, after, now)))
        return stored

    stored = await farm.database.write(step)
    if stored.state in _OVER:  # deleted while it was uploaded
        await discard(farm, record.id)
        raise AgreementOver(record.id, stored.state.value)
    farm.stats.count("shards_stored")
    farm.stats.count("bytes_stored", record.agreement.shard_length)
    return stored
