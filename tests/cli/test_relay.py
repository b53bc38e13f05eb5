"""Farmers without gas hand their vouchers to a relayer, who claims them together and keeps a fee."""

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from node.cli.identifiers import parse_address, show_address
from node.cli.relay_file import read_errands, write_errands
from node.db.farmer import TABLES, Book, add_book
from node.errors import DamagedFile
from node.farmer.config import FarmerConfig
from node.home import Home
from payments.channel import Funded, apply
from payments.ledger import Earnings, accept_payment
from payments.relay_fees import RelayFee, sign_fee
from payments.types import Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, Terms, Voucher, channel_id, sign_voucher
from settlement.calls import Claim
from settlement.client import Chain
from settlement.database import Database
from settlement.deployment import Deployment
from settlement.local_chain import dev_keys
from settlement.relays import Errand
from settlement.tables import TABLES as CHAIN_TABLES
from settlement.tables import list_channels, record_channel, save_channel
from settlement.transactions import send_now
from settlement.wallet import Wallets, new_key
from tests.cli.conftest import PASSWORD, Tithe, make_farm_key, make_wallet
from tests.settlement.signer import clef
from tests.settlement.support import run

ETHER = 10**18
DEPOSIT = Amount(10 * ETHER)
EARNED = Amount(3 * ETHER)
PERIOD = Seconds(60)
SALT = b"\x51" * 32
FARMERS = 2
PAYER = Address(b"\x04" * 20)
RECORD = Deployment(
    name="local",
    url="http://127.0.0.1:1",
    chain_id=31337,
    genesis_hash=b"\x01" * 32,
    contract=Address(b"\x02" * 20),
    token=Address(b"\x03" * 20),
    deployed_block=1,
    confirmations=1,
    challenge_period=PERIOD,
    local=True,
)
TERMS = Terms(PAYER, PAYER, PAYER, PAYER, PERIOD, SALT)


@dataclass(frozen=True)
class Village:
    """Farmers that hold a voucher each and have no gas, and a relayer that has some."""

    farmers: tuple[Tithe, ...]
    payees: tuple[Address, ...]
    channels: tuple[ChannelId, ...]
    relayer: Tithe
    address: str
    record: Deployment

    def authorise(self, number: int, fee: str, *options: str) -> Any:  # noqa: ANN401 - JSON
        arguments = ("--max-fee", fee, "--out", f"{number}.json", "--json", *options)
        return self.farmers[number]("farm", "authorise-relay", self.address, *arguments).json


@pytest.fixture(scope="module")
def village(local: Tithe) -> Village:
    record = Deployment.load(local.home / "chains" / "local.json")
    farmers = tuple(local.another(f"farmer{number}") for number in range(FARMERS))
    payees = []
    for farmer in farmers:
        payees.append(Address(make_wallet(farmer)))
        make_farm_key(farmer)
        _join(farmer, record)
        FarmerConfig(payees[-1], (record.token,)).save(Home(farmer.home).farm_config)
    channels = run(_earn(local, record, farmers, tuple(payees)))
    relayer = local.another("relayer")
    address = Address(make_wallet(relayer))
    run(_give_gas(record, address))
    _join(relayer, record)
    return Village(farmers, tuple(payees), channels, relayer, show_address(address), record)


async def _give_gas(record: Deployment, to: Address) -> None:
    async with await Chain.connect(record.url, record) as chain:
        await send_now(chain.rpc, dev_keys()[0], to, value=ETHER)


def _join(tithe: Tithe, record: Deployment) -> None:
    folder = tithe.home / "chains"
    folder.mkdir(mode=0o700)
    record.save(folder / "local.json")


async def _earn(
    local: Tithe, record: Deployment, farmers: tuple[Tithe, ...], payees: tuple[Address, ...]
) -> tuple[ChannelId, ...]:
    """Fund a channel to every payee, and put a voucher into every farmer's books."""
    payer, signer = Wallets(local.home / "wallets").unlock("main", PASSWORD), new_key()
    async with await Chain.connect(record.url, record) as chain:
        approve = chain.calls.approve(FARMERS * DEPOSIT)
        fund = chain.calls.fund(signer.address, PERIOD, SALT, [(payee, DEPOSIT) for payee in payees])
        for call in (approve, fund):
            await send_now(chain.rpc, payer, call.to, call.data)
        names = []
        for farmer, payee in zip(farmers, payees, strict=True):
            terms = Terms(payer.address, signer.address, payee, record.token, PERIOD, SALT)
            names.append(channel_id(chain.domain, terms))
            promise = sign_voucher(chain.domain, Voucher(names[-1], EARNED), signer)
            _keep(farmer, chain, terms, promise)
    return tuple(names)


def _keep(farmer: Tithe, chain: Chain, terms: Terms, promise: SignedVoucher) -> None:
    """Write a channel and its voucher into a farmer's books, as the farmer would."""

    def step(conn: Connection) -> None:
        channel = apply(record_channel(conn, chain.domain, terms), Funded(DEPOSIT))[0]
        taken = accept_payment(chain.domain, channel, Earnings(), promise, storage_rate=Amount(0))
        save_channel(conn, taken.channel)
        add_book(conn, Book(channel.id, NodeId(os.urandom(32)), Timestamp(0), taken.earnings))

    database = Database.at(
        Home(farmer.home).farm_state(chain.deployment.folder).money, [*CHAIN_TABLES, *TABLES]
    )
    try:
        database.write_sync(step)
    finally:
        database.close()


def test_payee_whose_key_is_elsewhere_reads_the_fee_that_it_signs(village: Village) -> None:
    folder = village.farmers[0].home / "wallets"
    wallets, aside = Wallets(folder), folder / "main.aside"
    key = wallets.unlock("main", PASSWORD)
    (folder / "main.json").rename(aside)
    try:
        with clef(key) as signer:
            wallets.save_external("main", signer.url, key.address)
            village.authorise(0, "0.5")
        (asked,) = signer.seen
        assert asked["method"] == "account_signTypedData"
        assert asked["params"][1]["message"]["maximum"] == str(ETHER // 2)
    finally:
        aside.rename(folder / "main.json")


def test_check_says_by_its_exit_status_that_a_payer_closes_unseen(village: Village, local: Tithe) -> None:
    farmer, record = village.farmers[1], village.record

    async def close() -> None:
        payer = Wallets(local.home / "wallets").unlock("main", PASSWORD)
        async with await Chain.connect(record.url, record) as chain:
            with closing(Database.at(Home(farmer.home).farm_state(record.folder).money)) as books:
                (channel,) = books.read(list_channels)
            terms = channel.terms
            call = chain.calls.request_close(terms.signer, PERIOD, SALT, [terms.payee])
            await send_now(chain.rpc, payer, call.to, call.data)

    farmer("farm", "check", expect=5)  # it does not run, and nobody closes
    run(close())
    danger = farmer("farm", "check", "--json", expect=6).json["findings"]
    assert danger[0]["code"] == "DEADLINE_UNATTENDED"


def test_a_relayer_claims_for_farmers_in_one_transaction_and_keeps_its_fees(village: Village) -> None:
    relayer = village.relayer
    dear = village.farmers[0]("farm", "authorise-relay", village.address, "--max-fee", "3", expect=1)
    assert "no voucher is worth more than the fee" in dear.error
    told = [village.authorise(number, fee) for number, fee in enumerate(("0.5", "0.125"))]
    assert [one["channels"] for one in told] == [["0x" + name.hex()] for name in village.channels]
    files = [relayer.folder / f"{number}.json" for number in range(FARMERS)]
    done = relayer("relay", *files, "--fee", "0.25", "--yes", "--json").json
    fees = [ETHER // 4, ETHER // 8]
    kept = {claim["channel_id"]: int(claim["fee"]) for claim in done["claims"]}
    assert [kept["0x" + name.hex()] for name in village.channels] == fees
    assert {claim["claimed"] for claim in done["claims"]} == {str(EARNED)}
    assert len({claim["transaction"] for claim in done["claims"]}) == 1
    owners = [*village.payees, parse_address(village.address)]
    assert run(_tokens(village.record, owners)) == [*(EARNED - fee for fee in fees), sum(fees)]
    assert int(done["fees"]) == sum(fees)
    assert "nothing was claimed: stale" in relayer("relay", *files, "--yes", expect=1).error


async def _tokens(record: Deployment, owners: Sequence[Address]) -> list[int]:
    async with await Chain.connect(record.url, record) as chain:
        return [await chain.token_balance(owner) for owner in owners]


def test_a_relay_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    claim = Claim(TERMS, sign_voucher(RECORD.domain, Voucher(ChannelId(SALT), EARNED), new_key()), b"proof")
    fee = RelayFee(TERMS.payee, ChannelId(SALT), EARNED, Amount(5), Timestamp(7))
    errand = Errand(claim, sign_fee(RECORD.domain, fee, new_key()))
    file = tmp_path / "relay.json"
    file.write_bytes(write_errands(RECORD, [errand]))
    assert read_errands(file, RECORD) == [errand]
    for other in (replace(RECORD, chain_id=2), replace(RECORD, genesis_hash=bytes(32))):
        with pytest.raises(DamagedFile, match="another chain or contract"):
            read_errands(file, other)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"errands": []}', b"\xff", None])
def test_what_is_no_relay_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "relay.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"relay\.json"):
        read_errands(file, RECORD)
