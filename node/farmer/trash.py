"""The trash: ended shards, kept for a while in case that their end was a mistake.

A clock that ran ahead ends every agreement, a renter that comes back a day late finds its files deleted. What
is still in the trash, and whose agreement has not ended by the calendar, can be taken back as it was.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from node.db import Connection
from node.db.farmer import list_books, save_book
from node.db.farmer_agreements import FarmerAgreement, load_agreement, save_agreement
from node.messages import AgreementState
from node.shard_store import ShardStore
from payments.ledger import grow_storage
from payments.types import Timestamp, to_amount
from settlement.database import Database


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
    """Take shards out of the trash: their file first, durably, then in the books. For a farmer at rest.

    Raises StoreFault, StorageError.
    """
    results = []
    good = []
    for shard in shards:
        record = database.read(lambda conn, name=shard: load_agreement(conn, name))  # type: ignore[misc]
        refusal = _refuse(record, now)
        if refusal is None and not store.take_back(shard):
            refusal = Refusal.NOT_THERE
        if refusal is None and record is not None:
            good.append(record)
        results.append(TakenBack(shard, refusal))

    def step(conn: Connection) -> None:
        for record in good:
            _store_again(conn, record, now)

    if good:
        await database.write(step)
    return tuple(results)


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
