"""What is on its way is listed with its reason, and can be given up, whoever has the key."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from node.home import Home
from payments.types import Address
from payments.vouchers import SigningKey
from settlement.calls import Call
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.outbox import Outbox
from settlement.outbox_store import Attempt, add_attempt, add_wish
from settlement.tables import TABLES
from settlement.transactions import TRANSFER_GAS, Transaction, sign_transaction
from settlement.wallet import Wallets
from tests.cli.conftest import PASSWORD, Farm, Tithe, make_farm_key, make_wallet
from tests.settlement.support import run

STRANGER = Address(bytes.fromhex("5e" * 20))
PURPOSE = "gift"


def record_of(tithe: Tithe) -> Deployment:
    return Deployment.load(Home(tithe.home).chain_file("local"))


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(Database.at(path, TABLES)) as database:
        yield database


def books_of(tithe: Tithe, role: str) -> Path:
    place, folder = Home(tithe.home), record_of(tithe).folder
    return (place.farm_state(folder) if role == "farmer" else place.renter_state(folder)).money


def queue(tithe: Tithe, role: str, key: SigningKey, value: int) -> None:
    """Want something that is too dear now."""

    async def story() -> None:
        record = record_of(tithe)
        async with await Chain.connect(record.url, record) as chain:
            with opened(books_of(tithe, role)) as database:
                await Outbox(database, chain, ceiling=1).submit(PURPOSE, Call(STRANGER, b"", value), key)

    run(story())


def sign(tithe: Tithe, role: str, key: SigningKey, value: int) -> None:
    """Leave something behind that is signed, and that no node has heard of."""

    async def story() -> None:
        record = record_of(tithe)
        async with await Chain.connect(record.url, record) as chain:
            nonce, fees = await chain.rpc.nonce(key.address), await chain.rpc.fees()
        call = Call(STRANGER, b"", value)
        wish = Transaction(record.chain_id, nonce, call.to, b"", value, TRANSFER_GAS, fees)
        attempt = Attempt(sign_transaction(wish, key), fees, int(time.time()))

        def step(conn: Connection) -> None:
            queued = add_wish(conn, PURPOSE, key.address, call, int(time.time()))
            add_attempt(conn, replace(queued, nonce=nonce, gas=TRANSFER_GAS), attempt)

        with opened(books_of(tithe, role)) as database:
            await database.write(step)

    run(story())


def listed(tithe: Tithe, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tithe("wallet", "transactions", *options, "--json").json["transactions"]
    return [one for one in found if one["purpose"] == PURPOSE]


@pytest.fixture(scope="module")
def payer(local: Tithe) -> SigningKey:
    return Wallets(local.home / "wallets").unlock("main", PASSWORD)


def test_what_waits_says_why_and_is_given_up_without_a_password(local: Tithe, payer: SigningKey) -> None:
    assert "No transaction is on its way" in local("wallet", "transactions").err
    queue(local, "renter", payer, 1)
    (one,) = listed(local)
    assert (one["state"], one["nonce"], one["fee"], one["attempts"]) == ("queued", None, None, 0)
    assert "ceiling" in one["why"]
    assert 0 <= one["age"] < 600
    shown = local("wallet", "transactions").out
    assert one["transaction"] in shown
    assert "waits" in shown
    done = local("wallet", "cancel", one["transaction"], env={"TITHE_PASSWORD_FILE": None})
    assert "was cancelled" in done.out
    assert listed(local) == []


def test_what_was_signed_is_cancelled_by_its_nonce_after_asking(local: Tithe, payer: SigningKey) -> None:
    sign(local, "renter", payer, 2)
    (one,) = listed(local)
    assert (one["state"], one["attempts"]) == ("sent", 1)
    assert int(one["fee"]) > 0
    assert str(one["nonce"]) in local("wallet", "transactions").out
    assert "--yes" in local("wallet", "cancel", one["transaction"], expect=1).error
    told = local("wallet", "cancel", one["transaction"], "--yes", "--json").json
    assert told == {"transaction": one["transaction"], "state": "cancelled"}
    assert listed(local) == []
    (newest, *_) = listed(local, "--all")
    assert (newest["state"], newest["nonce"]) == ("cancelled", one["nonce"])
    (held,) = local("wallet", "balance", "0x" + STRANGER.hex(), "--json").json["balances"]
    assert held["wei"] == "0"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("12", 2, "renter:12"),
        ("nobody:1", 2, "renter:12"),
        ("renter:999", 1, "no transaction"),
        ("tower:1", 1, "no tower here"),
    ],
)
def test_what_is_not_there_cannot_be_cancelled(
    local: Tithe, payer: SigningKey, name: str, code: int, said: str
) -> None:
    queue(local, "renter", payer, 3)
    assert said in local("wallet", "cancel", name, expect=code).error


def test_the_farmer_carries_a_cancellation_out_when_it_runs(local: Tithe) -> None:
    tithe = local.another("cancelling")
    make_wallet(tithe)
    make_farm_key(tithe)
    tithe("farm", "init", "--join", local.home, "--port", "0")
    key = Wallets(tithe.home / "farm").unlock("gas", PASSWORD)
    sign(tithe, "farmer", key, 4)
    (one,) = listed(tithe)
    assert "when it runs again" in tithe("wallet", "cancel", one["transaction"], "--yes").out
    farm = Farm(tithe)
    try:
        farm.start()
        deadline = time.monotonic() + 60
        while listed(tithe) and time.monotonic() < deadline:
            time.sleep(0.2)
        (over,) = listed(tithe, "--all")
        assert over["state"] == "cancelled"
    finally:
        farm.kill()
