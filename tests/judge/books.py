"""Books: what renters and farmers have on disk, read from their raw SQLite files into plain values."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PASSED: Final = "PASSED"
GB: Final = 10**9


@dataclass(frozen=True, slots=True)
class Signed:
    """A voucher as it lies on disk."""

    channel: bytes
    total: int
    condition: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Side:
    """One channel in one node's books. `paid`, `proven`: totals of its newest vouchers, 0 without one.

    delivered: what a renter knows its farmer to hold. signed, accepted: as the channel's row has them.
    """

    signer: bytes
    deposit: int
    claimed: int
    signed: int
    accepted: int
    closes_at: int
    status: str
    paid: int = 0
    proven: int = 0
    delivered: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """One challenge of a renter. `passed`: the agreements that it found passed, with their steps."""

    channel: bytes
    step: int
    total: int
    condition: bytes
    open: bool
    passed: dict[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queued:
    """A transaction of an outbox."""

    sender: bytes
    state: str
    nonce: int | None
    final: bytes | None


@dataclass(frozen=True, slots=True)
class Books:
    """One node. `reads`: the prices of the reads that a farmer has sold, by channel."""

    name: str
    sides: dict[bytes, Side]
    vouchers: tuple[Signed, ...]
    outbox: tuple[Queued, ...]
    audits: tuple[Audit, ...] = ()
    reads: dict[bytes, list[int]] = field(default_factory=dict)
    stored: frozenset[bytes] = frozenset()
    """Agreements whose shards are stored."""


def read_renter(path: Path) -> Books:
    """Read a renter's money database."""
    with closing(_open(path)) as conn:
        purses = {row["channel_id"]: row for row in conn.execute("SELECT * FROM renter_purse")}
        sides = {}
        vouchers = []
        for name, row in _channels(conn):
            purse = purses.get(name)
            paid = _amount(purse["paid"]) if purse else 0
            delivered = _amount(purse["delivered"]) if purse else 0
            sides[name] = _side(row, paid=paid, delivered=delivered)
            if purse and purse["paid_signature"]:
                vouchers.append(Signed(name, paid, bytes(32), purse["paid_signature"]))
        steps = {
            row["agreement_id"]: _amount(row["step"]) for row in conn.execute("SELECT * FROM renter_shard")
        }
        audits = tuple(_audits(conn, steps))
        vouchers += [
            Signed(row["channel_id"], _amount(row["total"]), row["condition"], row["signature"])
            for row in conn.execute("SELECT * FROM renter_audit")
        ]
        stored = conn.execute("SELECT agreement_id FROM renter_shard WHERE state = 'stored'")
        return Books(
            path.parent.name,
            sides,
            tuple(vouchers),
            _outbox(conn),
            audits,
            stored=frozenset(row["agreement_id"] for row in stored),
        )


def read_farmer(path: Path) -> Books:
    """Read a farmer's money database."""
    with closing(_open(path)) as conn:
        sides, vouchers = {}, []
        books = {row["channel_id"]: row for row in conn.execute("SELECT * FROM farmer_book")}
        for name, row in _channels(conn):
            book = books.get(name)
            if book is None:
                continue  # not accepted yet
            paid, proven = _amount(book["paid_total"]), _amount(book["proven_total"])
            sides[name] = _side(row, paid=paid, proven=proven)
            if book["paid_signature"]:
                vouchers.append(Signed(name, paid, bytes(32), book["paid_signature"]))
            if book["proven_signature"]:
                vouchers.append(Signed(name, proven, book["proven_condition"], book["proven_signature"]))
        stored = conn.execute("SELECT id FROM farmer_agreement WHERE state = 'STORED'")
        return Books(
            path.parent.name,
            sides,
            tuple(vouchers),
            _outbox(conn),
            reads=_reads(conn),
            stored=frozenset(row["id"] for row in stored),
        )


def _open(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path)
    conn.row_factory = sqlite3.Row
    return conn


def _amount(value: bytes | None) -> int:
    return int.from_bytes(value or b"")


def _channels(conn: sqlite3.Connection) -> Iterator[tuple[bytes, sqlite3.Row]]:
    for row in conn.execute("SELECT * FROM channels").fetchall():
        yield row["id"], row


def _side(row: sqlite3.Row, **own: int) -> Side:
    amounts: dict[str, Any] = {
        name: _amount(row[name]) for name in ("deposit", "claimed", "signed", "accepted")
    }
    return Side(row["signer"], closes_at=row["closes_at"], status=row["status"], **amounts, **own)


def _audits(conn: sqlite3.Connection, steps: dict[bytes, int]) -> Iterator[Audit]:
    passed: defaultdict[bytes, dict[bytes, int]] = defaultdict(dict)
    for row in conn.execute("SELECT * FROM renter_audit_item WHERE outcome = ?", (PASSED,)):
        passed[row["audit_id"]][row["agreement"]] = steps[row["agreement"]]
    for row in conn.execute("SELECT * FROM renter_audit").fetchall():
        yield Audit(
            row["channel_id"],
            _amount(row["step"]),
            _amount(row["total"]),
            row["condition"],
            bool(row["open"]),
            passed[row["audit_id"]],
        )


def _outbox(conn: sqlite3.Connection) -> tuple[Queued, ...]:
    rows = conn.execute("SELECT * FROM transactions ORDER BY id").fetchall()
    return tuple(Queued(row["sender"], row["state"], row["nonce"], row["final"]) for row in rows)


def _reads(conn: sqlite3.Connection) -> dict[bytes, list[int]]:
    query = """SELECT p.channel_id, p.length, a.download_price FROM farmer_purchase p
               JOIN farmer_agreement a ON a.id = p.agreement"""
    found: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in conn.execute(query):
        found[row["channel_id"]].append(-(-row["length"] * _amount(row["download_price"]) // GB))
    return dict(found)
