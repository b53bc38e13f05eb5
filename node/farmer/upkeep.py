"""Upkeep: what a farmer does by itself with what it stores. End what is over, tidy up after a crash.

Every step may run again at any time and finds what is left to do from books and disk alone.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from node.db import Connection
from node.db.farmer import Book, list_books_with_channels
from node.db.farmer_agreements import (
    BATCH,
    FarmerAgreement,
    RenterSums,
    count_shards,
    forget_agreements,
    list_agreements,
    list_forgettable,
    list_overdue,
    list_sums,
    load_agreements,
    load_sums,
    save_sums,
    stored_shards,
)
from node.db.farmer_shelf import clear_shelf
from node.db.restoration import load_restoration
from node.errors import NodeError
from node.farmer.agreements import discard, end
from node.farmer.farm import Farm, caught_up, debt_of, load_debt
from node.farmer.holdings import find_away
from node.farmer.losses import check_missing, give_up, set_apart
from node.farmer.shelf import find_abandoned
from node.messages import AgreementState
from node.store_faults import StoreAway, StoreFault
from payments.channel import Channel
from payments.ledger import Earnings
from payments.types import NodeId, Timestamp

UNSIGNED_SECONDS = 86_400
"""How long an agreement is known that never had its shard: an upload may still be under way."""
KEPT_SECONDS = 30 * 86_400
"""How long one that had is known after its end."""

log = logging.getLogger("tithebarn.farmer")


async def sweep(farm: Farm) -> None:
    """End agreements that are over or abandoned, and those whose renters owed too much for too long."""
    now = farm.now()
    while overdue := farm.database.read(lambda conn: list_overdue(conn, now)):
        for record in overdue:
            over = await end(farm, record, AgreementState.EXPIRED)
            log.info("agreement_expired agreement=%s was=%s", over.id.hex(), record.state.value)
    known = await farm.run(farm.database.read, list_sums)
    watched = [sums for sums in known if sums.stored or sums.over_since]
    for start in range(0, len(watched), BATCH):
        some = watched[start : start + BATCH]
        for renter in await farm.run(_debtors, farm, some, now):
            await _watch_debt(farm, renter, now)


async def forget(farm: Farm) -> None:
    """Remove from the books what nobody can want any more: ended agreements, shelves of those who left."""
    now, grace = farm.now(), farm.config.offer.grace
    signed = now - max(KEPT_SECONDS, farm.config.trash_seconds + UNSIGNED_SECONDS)

    def find(conn: Connection) -> tuple[list[bytes], list[NodeId]]:
        ended = list_forgettable(conn, Timestamp(now - UNSIGNED_SECONDS), Timestamp(signed))
        return ended, find_abandoned(conn, Timestamp(now - grace))

    def remove(conn: Connection) -> tuple[int, int]:
        ended, left = find(conn)
        forget_agreements(conn, ended)
        for renter in left:
            clear_shelf(conn, renter)
        return len(ended), len(left)

    while any(await farm.run(farm.database.read, find)):
        agreements, shelves = await farm.database.write(remove)
        log.info("forgotten agreements=%d shelves=%d", agreements, shelves)


def _debtors(farm: Farm, some: Sequence[RenterSums], now: Timestamp) -> list[NodeId]:
    """Those of these renters that owe too much, or did when last looked at: reading finds the few of many."""
    books: dict[NodeId, list[Earnings]] = {sums.renter: [] for sums in some}

    def read(conn: Connection) -> list[tuple[Book, Channel]]:
        return list_books_with_channels(conn, list(books))

    of = {sums.renter: sums for sums in some}
    for book, channel in farm.database.read(read):
        books[book.renter].append(caught_up(book, channel, of[book.renter]).earnings)

    def owes(sums: RenterSums) -> bool:
        return debt_of(farm.config, books[sums.renter], sums, now).over

    return [sums.renter for sums in some if sums.over_since or owes(sums)]


async def _watch_debt(farm: Farm, renter: NodeId, now: Timestamp) -> None:
    def step(conn: Connection) -> RenterSums:
        sums = load_sums(conn, renter)
        over = load_debt(conn, farm.config, sums, now).over
        since = (sums.over_since or now) if over else Timestamp(0)
        if since != sums.over_since:
            sums = replace(sums, over_since=since)
            save_sums(conn, sums)
        return sums

    sums = await farm.database.write(step)
    if not sums.over_since:
        return
    if sums.over_since == now:
        log.warning("renter_owes_too_much renter=%s", renter.hex())
    for record in _unpaid(farm, renter, sums.over_since, now):
        await end(farm, record, AgreementState.DELETED, unpaid=True)
        log.warning("agreement_deleted agreement=%s renter=%s reason=unpaid", record.id.hex(), renter.hex())


def _unpaid(farm: Farm, renter: NodeId, since: Timestamp, now: Timestamp) -> list[FarmerAgreement]:
    """At most a batch of this renter's agreements whose grace is over; the next sweep takes more."""
    stored = farm.database.read(
        lambda conn: list_agreements(conn, state=AgreementState.STORED, renter=renter, limit=BATCH)
    )
    return [record for record in stored if now >= since + record.agreement.grace]


async def empty_trash(farm: Farm) -> None:
    """Remove for good what has been in trash or quarantine for long enough."""
    now, seconds = farm.now(), farm.config.trash_seconds
    for where in (farm.store.trash, farm.store.quarantine):
        try:
            with farm.store.naming_faults():
                removed = await farm.run(where.empty, now, seconds)
        except StoreFault as fault:
            log.warning("trash_left code=%s folder=%s", fault.code, where.folder)
        else:
            if removed.shards:
                log.info("trash_emptied folder=%s shards=%d", where.folder.name, removed.shards)


async def look_after_disk(farm: Farm) -> None:
    """Notice a disk that went away, and one that came back."""
    stored = farm.database.read(count_shards)[0]
    trouble = await farm.run(find_away, farm.store, stored)
    if trouble and not farm.away:
        log.error("store_away folder=%s", farm.store.folder)
    farm.away = trouble


async def reconcile(farm: Farm, *, accept_loss: bool = False) -> None:
    """Make disk and books agree at a start: remove partial files and orphans, give up shards that are gone.

    A shard that was renamed but not countersigned is an orphan: its renter was not told and sends it again.
    What the books have never heard of is left alone: they may be an old copy, the shard somebody's only one.
    Raises StoreAway, StoreOfAnother, ShardsGone rather than give up a disk, unless the loss is accepted.
    """
    due = farm.database.read(lambda conn: set(stored_shards(conn)))
    there = await farm.run(_find_disk, farm, due, accept_loss)
    partial = await farm.run(farm.store.prepare)
    if partial:
        log.info("partial_uploads_removed count=%d", partial)
    gone = await farm.run(_take_back, farm, due - there, there - due)
    if not accept_loss:
        check_missing(farm.store.folder, len(gone), len(due))
    if gone:
        await give_up(farm.hoard, dict.fromkeys(gone, "its file is gone"))
    known = farm.database.read(lambda conn: load_agreements(conn, there - due))
    if farm.database.read(load_restoration) is not None:  # it may be countersigned since the copy was taken
        known = {name: one for name, one in known.items() if one.state is not AgreementState.PROPOSED}
    for orphan in known.values():
        await _tidy(farm, orphan)
    if strangers := len(there - due) - len(known):
        log.warning("shards_unknown count=%d folder=%s", strangers, farm.store.folder)


def _find_disk(farm: Farm, due: set[bytes], accept_loss: bool) -> set[bytes]:
    """List the shards there are, and mark their disk. Raises StoreAway, StoreOfAnother."""
    store = farm.store
    there = set(store.shards())
    if store.marker.read() is None and due and not due & there and not accept_loss:
        raise StoreAway(store.folder)
    store.marker.claim(farm.node)
    with store.naming_faults():
        store.trash.count()
        store.quarantine.count()
    return there


def _take_back(farm: Farm, missing: set[bytes], strangers: set[bytes]) -> set[bytes]:
    """Find again what is owed by books that are a copy from before its end; what is gone.

    It lies in the trash, or was renewed since, and lies under the name of the renewal.
    """
    gone = {shard for shard in missing if not farm.store.take_back(shard)}
    if not gone:
        return gone
    renewals = {farm.store.root(name): name for name in strangers}
    owed = farm.database.read(lambda conn: load_agreements(conn, gone))
    for shard, record in owed.items():
        renewal = renewals.get(record.agreement.data_root)
        if renewal is not None:
            with suppress(NodeError):
                farm.store.share(renewal, shard, record.agreement.data_root)
                gone.discard(shard)
    return gone


async def _tidy(farm: Farm, orphan: FarmerAgreement) -> None:
    """Do with the shard of an agreement that is not stored what a crash undid or prevented."""
    if orphan.state is AgreementState.LOST:
        await set_apart(farm.hoard, orphan.id)
    elif orphan.farmer_signature is not None:
        await discard(farm, orphan.id)
    else:
        try:
            await farm.run(farm.store.delete, orphan.id)
        except NodeError as fault:
            log.warning("orphan_left code=%s shard=%s", fault.code, orphan.id.hex())
            return
    log.info("orphan_removed shard=%s", orphan.id.hex())
