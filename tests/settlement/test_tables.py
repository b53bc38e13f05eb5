"""Channels on disk, and the statements that read and write them."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import BigInteger, Connection, Integer, bindparam, delete, insert, select, update

from payments import channel as machine
from payments.channel import Claimed, CloseRequested, Funded, Status, VoucherAccepted, open_channel
from payments.eip712 import Domain
from payments.types import MAX_AMOUNT, Address, Amount, Seconds, Timestamp
from payments.vouchers import Terms
from settlement.database import Database
from settlement.statements import Statement
from settlement.tables import (
    TABLES,
    ChannelRow,
    list_channels,
    load_channel,
    record_channel,
    save_channel,
    table,
)
from tests.databases import Place
from tests.settlement.support import payee

DOMAIN = Domain(31337, payee(9))


def terms(number: int) -> Terms:
    return Terms(payee(1), payee(2), payee(3 + number), payee(4), Seconds(60), number.to_bytes(32, "big"))


@pytest.fixture
def database(place: Place) -> Iterator[Database]:
    opened = place.open(TABLES)
    yield opened
    opened.close()


def test_a_channel_comes_back_as_it_was_saved(database: Database) -> None:
    channel = database.write_sync(lambda conn: record_channel(conn, DOMAIN, terms(1)))
    assert channel == open_channel(DOMAIN, terms(1))
    facts = (
        Funded(MAX_AMOUNT),
        VoucherAccepted(Amount(2**90)),
        Claimed(Amount(2**65)),
        CloseRequested(Timestamp(2**40 - 1)),
    )
    for fact in facts:
        channel, _ = machine.apply(channel, fact)
        database.write_sync(partial(save_channel, channel=channel))
        assert database.read(partial(load_channel, channel_id=channel.id)) == channel
    again = database.write_sync(lambda conn: record_channel(conn, DOMAIN, terms(1)))
    assert again == channel


def test_an_unknown_channel_is_none(database: Database) -> None:
    assert database.read(lambda conn: load_channel(conn, open_channel(DOMAIN, terms(1)).id)) is None


def test_channels_are_listed_by_who_and_how(database: Database) -> None:
    def work(conn: Connection) -> None:
        for number in range(4):
            channel = record_channel(conn, DOMAIN, terms(number))
            if number % 2:
                save_channel(conn, machine.apply(channel, Funded(Amount(5)))[0])

    database.write_sync(work)

    def listed(**wanted: Any) -> list[int]:  # noqa: ANN401 - list_channels' own keywords
        found = database.read(partial(list_channels, **wanted))
        return [int.from_bytes(one.terms.salt, "big") for one in found]

    assert listed() == [0, 1, 2, 3]
    assert listed(payee=payee(4)) == [1]
    assert listed(payer=payee(1), status=Status.FUNDED) == [1, 3]
    assert listed(signer=Address(bytes(20))) == []


def test_statements_convert_as_core_does(database: Database) -> None:
    rows = table(ChannelRow)
    everything = select(rows).order_by(rows.c.challenge_period)
    fields: dict[str, object] = dict.fromkeys(
        ("id", "payer", "signer", "payee", "token", "salt"), b"\x00\xff"
    )
    fields |= dict.fromkeys(("deposit", "claimed", "signed", "accepted"), MAX_AMOUNT)
    fields |= {"challenge_period": 2, "closes_at": 2**40 - 1, "status": "funded", "last_block": 1}
    add = Statement(insert(rows))
    change = Statement(update(rows).where(rows.c.id == b"\x00\xff").values(deposit=bindparam("new_deposit")))
    read = Statement(everything)
    remove = Statement(delete(rows).where(rows.c.challenge_period == bindparam("period")))

    def both(conn: Connection) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        return read(conn), [tuple(row) for row in conn.execute(everything)]

    assert database.write_sync(lambda conn: add(conn, **fields)) == []
    ours, core = database.read(both)
    assert ours == core
    assert ours[0][rows.c.keys().index("deposit")] == MAX_AMOUNT
    database.write_sync(lambda conn: change(conn, new_deposit=3))
    ours, core = database.read(both)
    assert ours == core
    assert ours[0][rows.c.keys().index("deposit")] == 3
    database.write_sync(lambda conn: remove(conn, period=2))
    assert database.read(both) == ([], [])


def test_a_missing_value_is_an_error_and_nothing_is_written(database: Database) -> None:
    rows = table(ChannelRow)
    add = Statement(insert(rows))
    with pytest.raises(KeyError):
        database.write_sync(lambda conn: add(conn, id=b"x"))
    assert database.read(list_channels) == []


def test_times_and_numbers_of_the_chain_have_room_in_every_database() -> None:
    """uint32, uint40, seconds after 2038 and long chains exceed what INTEGER holds in PostgreSQL."""
    numbered = {"effects.id", "transactions.id", "attempts.id", "attempts.transaction_id", "cursor.id"}
    narrow = {
        f"{column.table.name}.{column.name}"
        for row in TABLES
        for column in table(row).c
        if isinstance(column.type, Integer) and not isinstance(column.type, BigInteger)
    }
    assert narrow == numbered
