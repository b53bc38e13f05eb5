"""Upkeep: what a farmer does by itself with what it stores. End what is over, tidy up after a crash.

Every step may run again at any time and finds what is left to do from books and disk alone.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from node.db import Connection
from node.db.farmer import Book, list_books_with_channels
from node.db.farmer_agreements import (
    BATCH,
    FarmerAgreement,
    RenterSums,
    list_agreements,
    list_overdue,
    list_sums,
    load_agreements,
    load_sums,
    save_sums,
    stored_shards,
)
from node.db.restoration import load_restoration
from node.errors import NodeError
from node.farmer.agreements import end
from node.farmer.farm import Farm, caught_up, exposure_limit, owed
from node.messages import AgreementState
from payments.channel import Channel
from payments.ledger import Earnings, exposure
from payments.types import NodeId, Timestamp

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


def _debtors(farm: Farm, some: Sequence[RenterSums], now: Timestamp) -> list[NodeId]:
    """Those of these renters that owe too much, or did when last looked at: reading finds the few of many."""
    books: dict[NodeId, list[Earnings]] = {sums.renter: [] for sums in some}

    def read(conn: Connection) -> list[tuple[Book, Channel]]:
        return list_books_with_channels(conn, list(books))

    of = {sums.renter: sums for sums in some}
    for book, channel in farm.database.read(read):
        books[book.renter].append(caught_up(book, channel, of[book.renter]).earnings)

    def owes(sums: RenterSums) -> bool:
        exposed = exposure(books[sums.renter], sums.storage_rate, now)
        return exposed > exposure_limit(farm.config, sums)

    return [sums.renter for sums in some if sums.over_since or owes(sums)]


async def _watch_debt(farm: Farm, renter: NodeId, now: Timestamp) -> None:
    def step(conn: Connection) -> RenterSums:
        sums = load_sums(conn, renter)
        over = owed(conn, sums, now) > exposure_limit(farm.config, sums)
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
        await end(farm, record, AgreementState.DELETED)
        log.warning("agreement_deleted agreement=%s renter=%s reason=unpaid", record.id.hex(), renter.hex())


def _unpaid(farm: Farm, renter: NodeId, since: Timestamp, now: Timestamp) -> list[FarmerAgreement]:
    """At most a batch of this renter's agreements whose grace is over; the next sweep takes more."""
    stored = farm.database.read(
        lambda conn: list_agreements(conn, state=AgreementState.STORED, renter=renter, limit=BATCH)
    )
    return [record for record in stored if now >= since + record.agreement.grace]


async def reconcile(farm: Farm) -> None:
    """Make disk and books agree at a start: remove partial files and orphans, name shards that are gone.

    A shard that was renamed but not countersigned is an orphan: its renter was not told and sends it again.
    What the books have never heard of is left alone: they may be an old copy, the shard somebody's only one.
    """
    partial = await farm.run(farm.store.prepare)
    if partial:
        log.info("partial_uploads_removed count=%d", partial)
    due = farm.database.read(lambda conn: set(stored_shards(conn)))
    there = set(await farm.run(lambda: list(farm.store.shards())))
    known = farm.database.read(lambda conn: load_agreements(conn, there - due))
    if farm.database.read(load_restoration) is not None:  # it may be countersigned since the copy was taken
        known = {name: one for name, one in known.items() if one.state is not AgreementState.PROPOSED}
    for orphan in known:
        try:
            await farm.run(farm.store.delete, orphan)
        except NodeError as fault:
            log.warning("orphan_left code=%s shard=%s", fault.code, orphan.hex())
        else:
            log.info("orphan_removed shard=%s", orphan.hex())
    if strangers := len(there - due) - len(known):
        log.warning("shards_unknown count=%d folder=%s", strangers, farm.store.folder)
    for missing in due - there:
        log.error("shard_missing agreement=%s", missing.hex())
