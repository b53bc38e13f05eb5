"""The trash: ended shards, kept for a while in case that their end was a mistake.

A clock that ran ahead ends every agreement, a renter that comes back a day late finds its files deleted. What
is still in the trash, and whose agreement has not ended by the calendar, can be taken back as it was.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from node.db import Connection
from node.db.farmer import list_books, save_book
from node.db.farmer_agreements import FarmerAgreement, load_agreement, save_agreement
from node.messages import AgreementState
from node.shard_store import ShardStore
from payments.debt import grow_storage
from payments.types import Timestamp, to_amount
from settlement.database import Database
from settlement.errors import StorageError

BATCH: Final = 256
"""Shards that are taken back at a time."""


class Refusal(Enum):
    """Why a shard stays in the trash."""

    UNKNOWN = "the books do not know it"
    OVER = "its agreement has ended by the calendar"
    NOT_THERE = "it is not in the trash"


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of one shard: in business again, unless there is a refusal."""

    shard: bytes
    refusal: Refusal | None = None


async def take_back(
    database: Database, store: ShardStore, now: Timestamp, shards: Collection[bytes]
) -> tuple[TakenBack, ...]:
    """Take some hundreds of shards out of the trash: their files first, durably, then in the books.

    None of them is on the disk and not in the books when this ends, but for a crash, which the next start
    undoes. Raises StoreFault, StorageError.
    """
    results: list[TakenBack] = []
    good: list[FarmerAgreement] = []
    try:
        for shard in shards:
            record = database.read(lambda conn, name=shard: load_agreement(conn, name))  # type: ignore[misc]
            refusal = _refuse(record, now)
            if refusal is None and not await asyncio.to_thread(store.take_back, shard):
                refusal = Refusal.NOT_THERE
            if refusal is None and record is not None:
                good.append(record)
            results.append(TakenBack(shard, refusal))
    finally:
        await _book(database, store, now, good)
    return tuple(results)


async def _book(
    database: Database, store: ShardStore, now: Timestamp, records: Sequence[FarmerAgreement]
) -> None:
    """Write down that these shards are back; where that is not possible, they are not."""

    def step(conn: Connection) -> None:
        for record in records:
            _store_again(conn, record, now)

    if not records:
        return
    try:
        await database.write(step)
    except StorageError:
        for record in records:
            await asyncio.to_thread(store.put_aside, record.id, store.trash, now)
        raise


def _refuse(record: FarmerAgreement | None, now: Timestamp) -> Refusal | None:
    if record is None or record.farmer_signature is None:
        return Refusal.UNKNOWN
    if record.state not in (AgreementState.EXPIRED, AgreementState.DELETED):
        return Refusal.NOT_THERE
    return Refusal.OVER if now >= record.agreement.end else None


def _store_again(conn: Connection, record: FarmerAgreement, now: Timestamp) -> None:
    """Owe a shard again, and be owed for it from now on."""
    stored = replace(record, state=AgreementState.STORED, since=now)
    after = save_agreement(conn, stored).storage_rate
    before = to_amount(after - stored.storage_rate)
    for book in list_books(conn, record.agreement.renter):
        save_book(conn, replace(book, earnings=grow_storage(book.earnings, before, after, now)))
