"""The books of a farmer with a crowd of renters: what a restart has to cope with.

One renter's rows are written by the farmer's own functions, all others are copies of them under other ids. A
renter has one channel, the proof of work it has not paid, PURCHASES paid reads, ENDED agreements that are
over and one whose shard lies in the store. Proofs, reads and agreements are the ledger entries: ten a
channel.
"""

import os
import time
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Table, insert, select

from node.agreement import Agreement
from node.audit import Challenge, Item, ItemProof, Proof
from node.db.farmer import (
    Book,
    FarmerBookRow,
    FarmerProofRow,
    FarmerPurchaseRow,
    Held,
    Purchase,
    add_book,
    save_held,
    save_purchase,
)
from node.db.farmer_agreements import FarmerAgreement, FarmerAgreementRow, RenterSumsRow, save_agreement
from node.messages import AgreementState
from node.shard_store import ShardStore
from payments.channel import Funded, VoucherAccepted, apply
from payments.ledger import Earnings
from payments.types import ZERO32, Amount, NodeId, Seconds, Timestamp
from payments.vouchers import Terms, Voucher, sign_voucher
from scripts.farm.books import DEPOSIT, NODE_KEY, PAYEE, SIGNER
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.statements import Statement
from settlement.tables import CHANNELS, record_channel, save_channel, table

RENTER: Final = NodeId(b"r" * 32)
PURCHASES: Final = 3
ENDED: Final = 5
ENTRIES: Final = 1 + PURCHASES + ENDED + 1
"""Ledger entries of one channel."""
SHARD: Final = bytes(1024)
YEAR: Final = 365 * 86_400
AT_ONCE: Final = 1_000
"""Renters copied in one transaction."""

_BOOKS, _PROOFS = table(FarmerBookRow), table(FarmerProofRow)
_READS, _AGREEMENTS, _SUMS = table(FarmerPurchaseRow), table(FarmerAgreementRow), table(RenterSumsRow)
_COPIED: Final = {
    one: Statement(insert(one)) for one in (CHANNELS, _BOOKS, _PROOFS, _READS, _AGREEMENTS, _SUMS)
}
Rows = dict[Table, list[dict[str, Any]]]


def first_terms(deployment: Deployment) -> Terms:
    """Terms of the channel of RENTER, which can go on paying: its signer is SIGNER."""
    return Terms(SIGNER.address, SIGNER.address, PAYEE, deployment.token, Seconds(86_400), ZERO32)


def write_crowd(database: Database, store: ShardStore, deployment: Deployment, renters: int) -> None:
    """Fill books and store."""
    shard = database.write_sync(lambda conn: _write_first(conn, deployment))
    original: Rows = database.read(
        lambda conn: {one: [dict(row) for row in conn.execute(select(one)).mappings()] for one in _COPIED}
    )
    store.prepare()
    _put(store, shard)
    for start in range(1, renters, AT_ONCE):
        copies = [_copy(original) for _ in range(start, min(start + AT_ONCE, renters))]
        database.write_sync(lambda conn, copies=copies: _insert(conn, copies))
        for copy in copies:
            _put(store, copy[_AGREEMENTS][-1]["id"])


def _write_first(conn: Connection, deployment: Deployment) -> bytes:
    """One renter's rows, by the farmer's own functions; its stored shard."""
    now = int(time.time())
    channel, _ = apply(record_channel(conn, deployment.domain, first_terms(deployment)), Funded(DEPOSIT))
    channel, _ = apply(channel, VoucherAccepted(Amount(1_000)))
    save_channel(conn, channel)

    def signed(total: int, condition: bytes = ZERO32) -> Any:  # noqa: ANN401 - a SignedVoucher
        return sign_voucher(deployment.domain, Voucher(channel.id, Amount(total), condition), SIGNER)

    earnings = Earnings(
        paid=signed(900),
        proven=signed(1_000, b"c" * 32),
        last_paid_audit=Timestamp(now),
        proven_at=Timestamp(now),
    )
    add_book(conn, Book(channel.id, RENTER, Timestamp(now), earnings, Timestamp(now)))
    for number in range(PURCHASES):
        save_purchase(conn, channel.id, Purchase(Amount(1 + number), b"a" * 32, 0, 1024))
    for number in range(ENDED + 1):
        stored = _agreement(number, now, stored=number == ENDED)
        save_agreement(conn, stored)
    item = Item(stored.id, stored.agreement.data_root, stored.agreement.leaf_count, (0,))
    proof = ItemProof((SHARD,), ((b"h" * 32,) * 12,))
    save_held(conn, channel.id, Held(Challenge(b"i" * 32, (item,)), Proof((proof,))))
    return stored.id


def _agreement(number: int, now: int, *, stored: bool) -> FarmerAgreement:
    terms = Agreement(
        renter=RENTER,
        farmer=NODE_KEY.node,
        shard_length=len(SHARD),
        leaf_count=1,
        data_root=b"d" * 32,
        step=Amount(1),
        audit_interval=Seconds(86_400),
        response_deadline=Seconds(3_600),
        grace=Seconds(7 * 86_400),
        download_price=Amount(1),
        start=Timestamp(now),
        end=Timestamp(now + YEAR),
    )
    state = AgreementState.STORED if stored else AgreementState.EXPIRED
    return FarmerAgreement(
        id=number.to_bytes(32),
        agreement=terms,
        renter_signature=b"s" * 64,
        state=state,
        since=Timestamp(now),
        upload_by=Timestamp(now),
        farmer_signature=b"f" * 64,
    )


def _copy(original: Rows) -> Rows:
    """The same rows of another renter."""
    renter, channel = os.urandom(32), os.urandom(32)
    own = {"renter": renter, "channel_id": channel}

    def renamed(one: Table, row: dict[str, Any]) -> dict[str, Any]:
        copy = row | {name: value for name, value in own.items() if name in row}
        if one is CHANNELS:
            copy["id"] = channel
        elif one is _AGREEMENTS:
            copy["id"] = os.urandom(32)
        return copy

    return {one: [renamed(one, row) for row in rows] for one, rows in original.items()}


def _insert(conn: Connection, copies: list[Rows]) -> None:
    for one, statement in _COPIED.items():
        statement.many(conn, _rows(one, copies))


def _rows(one: Table, copies: list[Rows]) -> Iterator[dict[str, Any]]:
    return (row for copy in copies for row in copy[one])


def _put(store: ShardStore, shard: bytes) -> None:
    """Lay a shard into the store, without its tree and without waiting for the disk."""
    path = store.path(shard)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(SHARD)
