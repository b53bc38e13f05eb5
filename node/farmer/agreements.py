"""Agreements as a farmer keeps them, from proposal to end, and the shards they are about.

A proposal reserves room; its shard streams to a temporary file while its root is computed; only when root
and length are the agreed ones, and the file is durable under its final name, the agreement is countersigned
in the books, and only then the renter hears of it. What ends gives its room back: in the books, then on disk.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from node.agreement import (
    Agreement,
    agreement_id,
    check_terms,
    countersign_agreement,
    verify_renter,
)
from node.db import Connection
from node.db.farmer import list_books, save_book
from node.db.farmer_agreements import (
    FarmerAgreement,
    RenterSums,
    list_agreements,
    list_same_shard,
    load_agreement,
    load_sums,
    save_agreement,
    used_bytes,
)
from node.errors import BadAgreement, NodeError, WrongRenterSignature
from node.farmer.contract_signers import find_agreeing
from node.farmer.errors import (
    AgreementNotFound,
    AgreementOver,
    CapacityExceeded,
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
from node.messages import AgreementState, AgreementView
from node.shard_store import IncomingShard
from payments.channel import Status
from payments.errors import PaymentError
from payments.ledger import grow_storage
from payments.prices import storage_price
from payments.types import Address, NodeId, Timestamp, to_amount
from settlement.tables import load_channel

log = logging.getLogger("tithebarn.farmer")

MAX_WAITING = 256
"""Proposals of one renter that may wait for their shards."""
PIECE = 256 * 1024
"""Bytes of an upload that are hashed and written at a time."""
_OVER = (AgreementState.EXPIRED, AgreementState.DELETED)


async def propose(
    farm: Farm, offers: Offers, node: NodeId, terms: Agreement, renter_signature: bytes
) -> AgreementView:
    """Accept terms and reserve room for the shard. Proposing the same again changes nothing.

    Raises WrongRenter, BadAgreement, PaymentError, PaymentRequired, CapacityExceeded, AgreementOver, and
    ChainError where a contract signs and cannot be asked.
    """
    if terms.renter != node:
        raise WrongRenter(terms.renter, node)
    now = farm.now()
    name = agreement_id(farm.domain, terms)
    known = farm.database.read(lambda conn: load_agreement(conn, name))
    if known is not None and not _abandoned(known):
        if known.state in _OVER:
            raise AgreementOver(name, known.state.value)
        return view(known)
    await _check_offer(offers, terms, now)
    agreeing = await find_agreeing(farm, node, name, renter_signature)
    upload_by = Timestamp(now + farm.config.upload_seconds)
    proposed = FarmerAgreement(name, terms, renter_signature, AgreementState.PROPOSED, now, upload_by)
    return view(await farm.database.write(lambda conn: _reserve(conn, farm, proposed, agreeing, now)))


def agreed_root(farm: Farm, node: NodeId, name: bytes) -> bytes:
    """Return the data root an upload must be authenticated with. Raises AgreementNotFound."""
    record = farm.database.read(lambda conn: load_agreement(conn, name))
    return _mine(record, name, node).agreement.data_root


async def receive(
    farm: Farm, node: NodeId, name: bytes, *, length: int, chunks: AsyncIterator[bytes]
) -> AgreementView:
    """Take a shard's bytes, and countersign if they are what was agreed. Nothing is kept of any other.

    `length` is what the request announced. A shard that is stored already is read to its end and thrown away.
    Raises NotFound, AgreementOver, NoChannel, ShardRefused, StoreFault.
    """
    record = _mine(farm.database.read(lambda conn: load_agreement(conn, name)), name, node)
    if record.state in _OVER:
        raise AgreementOver(name, record.state.value)
    terms = record.agreement
    if length != terms.shard_length:
        raise WrongUploadLength(length, terms.shard_length)
    if record.state is AgreementState.STORED:
        await _drain(chunks)
        return view(record)
    agreeing = await find_agreeing(farm, node, name, record.renter_signature)
    farm.database.read(lambda conn: _check_signer(conn, farm, record, agreeing))  # may be closing by now
    async with farm.lock(name):  # one at a time: the room reserved is for one
        if see(farm, node, name).state is AgreementState.PROPOSED:
            await _take(farm, record, chunks)
        else:
            await _drain(chunks)
        return view(await _countersign(farm, record))


async def remove(farm: Farm, node: NodeId, name: bytes) -> AgreementView:
    """End an agreement at its renter's wish. Raises AgreementNotFound."""
    record = _mine(farm.database.read(lambda conn: load_agreement(conn, name)), name, node)
    return view(await end(farm, record, AgreementState.DELETED))


async def end(farm: Farm, record: FarmerAgreement, state: AgreementState) -> FarmerAgreement:
    """End an agreement, EXPIRED or DELETED: in the books first, so that no stored one lacks its shard."""
    now = farm.now()

    def step(conn: Connection) -> FarmerAgreement:
        known = load_agreement(conn, record.id) or record
        if known.state in _OVER:
            return known
        over = replace(known, state=state, since=now)
        save_agreement(conn, over)
        return over

    over = await farm.database.write(step)
    try:
        await farm.run(farm.store.delete, record.id)
    except NodeError as fault:  # the next start removes it
        log.warning("shard_left code=%s agreement=%s", fault.code, record.id.hex())
    return over


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


async def _check_offer(offers: Offers, terms: Agreement, now: Timestamp) -> None:
    """Hold the terms against every quote that is still good; complain about the current one."""
    refusal: Exception | None = None
    for quote in await offers.good_quotes():
        try:
            check_terms(terms, quote, now)
        except (BadAgreement, PaymentError) as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal


def _reserve(
    conn: Connection, farm: Farm, proposed: FarmerAgreement, agreeing: set[Address], now: Timestamp
) -> FarmerAgreement:
    known = load_agreement(conn, proposed.id)
    if known is not None and not _abandoned(known):  # proposed twice at the same time
        return known
    terms = proposed.agreement
    _check_signer(conn, farm, proposed, agreeing)
    waiting = list_agreements(conn, state=AgreementState.PROPOSED, renter=terms.renter, limit=MAX_WAITING)
    if len(waiting) == MAX_WAITING:
        raise TooManyProposals(MAX_WAITING)
    check_exposure(conn, farm, load_sums(conn, terms.renter), now)
    free = farm.config.capacity - sum(used_bytes(conn)) + _given_back(conn, terms)
    if terms.shard_length > free:
        raise CapacityExceeded(terms.shard_length, max(0, free))
    sums = save_agreement(conn, proposed)
    _check_interval(farm, sums, [*waiting, proposed], proposed)
    return proposed


def _given_back(conn: Connection, terms: Agreement) -> int:
    """Bytes that a renewal will give back: it needs no room of its own, once."""
    same = list_same_shard(conn, terms.renter, terms.data_root)
    return terms.shard_length if [one.state for one in same] == [AgreementState.STORED] else 0


def _check_interval(
    farm: Farm, sums: RenterSums, waiting: list[FarmerAgreement], proposed: FarmerAgreement
) -> None:
    """Take no more than this farmer lends for one audit interval: it could never be kept."""
    rate = to_amount(sums.storage_rate + sum(one.storage_rate for one in waiting))
    due = storage_price(rate, proposed.agreement.audit_interval)
    if due > farm.config.max_exposure:
        raise ExposureExceeded(due, farm.config.max_exposure)


def _check_signer(conn: Connection, farm: Farm, proposed: FarmerAgreement, agreeing: set[Address]) -> None:
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
        await _write(farm, incoming, chunks)
        await farm.run(_keep, incoming, record)
    finally:
        incoming.discard()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what is not needed, so that the connection can go on."""
    async for _ in chunks:
        pass


async def _write(farm: Farm, incoming: IncomingShard, chunks: AsyncIterator[bytes]) -> None:
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= PIECE:
            await farm.run(incoming.write, piece)
            piece = bytearray()
    if piece:
        await farm.run(incoming.write, piece)


def _keep(incoming: IncomingShard, record: FarmerAgreement) -> None:
    terms = record.agreement
    if incoming.length != terms.shard_length:
        raise WrongUploadLength(incoming.length, terms.shard_length)
    tree = incoming.finish()
    if tree.root != terms.data_root:
        raise WrongDataRoot(tree.root, terms.data_root)
    incoming.keep(record.id, tree)


async def _countersign(farm: Farm, record: FarmerAgreement) -> FarmerAgreement:
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
        await farm.run(farm.store.delete, record.id)
        raise AgreementOver(record.id, stored.state.value)
    farm.stats.count("shards_stored")
    farm.stats.count("bytes_stored", record.agreement.shard_length)
    return stored
