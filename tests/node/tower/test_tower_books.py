"""A watchtower's books of an earlier version go on; each farmer's rows are its own."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, text

from node.db.tower import Watched, count_watched, forget_watched, list_watched, load_watched, save_watched
from node.tower_daemon import open_tower_books
from payments.types import Address, Amount, ChannelId, NodeId, Seconds
from payments.vouchers import SignedVoucher, Terms, Voucher
from settlement.database import Database

CHANNEL = ChannelId(b"\x01" * 32)
OURS, OTHERS = NodeId(b"\x02" * 32), NodeId(b"\x03" * 32)
ADDRESS = Address(b"\x04" * 20)
TERMS = Terms(ADDRESS, ADDRESS, ADDRESS, ADDRESS, Seconds(60), b"\x05" * 32)
FIRST = Table(
    "tower_channel",
    MetaData(),
    Column("channel_id", LargeBinary, primary_key=True),
    Column("farmer", LargeBinary, nullable=False, index=True),
    *(Column(name, LargeBinary, nullable=False) for name in ("payer", "signer", "payee", "token")),
    Column("challenge_period", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("paid_total", LargeBinary),
    Column("paid_signature", LargeBinary),
    Column("proven_total", LargeBinary),
    Column("proven_condition", LargeBinary),
    Column("proven_signature", LargeBinary),
    Column("proof", LargeBinary, nullable=False),
)
"""As version 2 had it: one row a channel, whoever brought it."""


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Database]:
    with closing(open_tower_books(tmp_path / "tower.db")) as database:
        yield database


def watched(farmer: NodeId, total: int) -> Watched:
    paid = SignedVoucher(Voucher(CHANNEL, Amount(total)), bytes(64))
    return Watched(farmer, CHANNEL, TERMS, paid)


def test_farmers_have_rows_of_their_own_of_one_channel(books: Database) -> None:
    for row in (watched(OURS, 5), watched(OTHERS, 3), watched(OURS, 7)):
        books.write_sync(partial(save_watched, watched=row))
    assert books.read(lambda conn: load_watched(conn, OURS, CHANNEL)) == watched(OURS, 7)
    assert books.read(lambda conn: load_watched(conn, OTHERS, CHANNEL)) == watched(OTHERS, 3)
    assert books.read(lambda conn: count_watched(conn, OURS)) == 1
    books.write_sync(lambda conn: forget_watched(conn, CHANNEL))
    assert books.read(lambda conn: list(list_watched(conn))) == []


def test_books_with_one_row_a_channel_are_brought_up_to_date(tmp_path: Path) -> None:
    with closing(Database.at(tmp_path / "tower.db", [])) as old:
        old.write_sync(lambda conn: conn.execute(text("UPDATE schema_version SET version = 2")))
        old.write_sync(FIRST.create)
        row = watched(OURS, 5)
        fields = {name: getattr(TERMS, name) for name in ("payer", "signer", "payee", "token", "salt")}
        fields |= {"channel_id": CHANNEL, "farmer": OURS, "challenge_period": 60, "proof": b""}
        fields |= {"paid_total": (5).to_bytes(12, "big"), "paid_signature": bytes(64)}
        old.write_sync(lambda conn: conn.execute(FIRST.insert().values(**fields)))
    with closing(open_tower_books(tmp_path / "tower.db")) as books:
        assert books.read(lambda conn: list(list_watched(conn))) == [row]
        other = replace(row, farmer=OTHERS)
        books.write_sync(lambda conn: save_watched(conn, other))
        assert books.read(lambda conn: list(list_watched(conn))) == [row, other]
