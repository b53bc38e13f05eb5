"""Deployment records: what they say of a chain, and what becomes of bad ones."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account

from payments.eip712 import keccak
from payments.types import Address, Seconds
from payments.vouchers import channel_id
from settlement import deployment as deployment_module
from settlement import deployment_proxy
from settlement.client import Chain
from settlement.deployment import Deployment, deploy, shared_address
from settlement.errors import MalformedDeployment, OutOfGasMoney, WrongGenesis
from settlement.local_chain import LocalChain, dev_keys, embedded
from settlement.rpc import Rpc
from settlement.transactions import rlp, send_now
from settlement.wallet import new_key
from tests.settlement.conftest import Endpoint
from tests.settlement.support import payee, run, world


def test_a_deployment_is_recorded_and_found_again(endpoint: Endpoint, tmp_path: Path) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            record = w.chain.deployment
            path = tmp_path / "test.json"
            record.save(path)
            assert Deployment.load(path) == record
            assert (record.local, record.confirmations, record.challenge_period) == (True, 1, 60)
            genesis = await w.chain.block(0)
            assert record.genesis_hash == genesis.hash
            assert record.folder == f"{genesis.hash.hex()[:16]}-{record.contract.hex()[:8]}"
            await Chain.connect(w.chain.rpc, Deployment.load(path))
            again = await deploy(
                w.chain.rpc,
                w.payer,
                "other",
                token=record.token,
                challenge_period=Seconds(7),
                confirmations=3,
            )
            assert (again.token, again.challenge_period, again.confirmations) == (record.token, 7, 3)
            assert again.contract == record.contract
            assert await w.chain.rpc.code(again.contract, again.deployed_block)
            assert not await w.chain.rpc.code(again.contract, again.deployed_block - 1)

    run(story())


def test_deploying_without_gas_money_is_named(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with await Rpc.open(endpoint()) as rpc:
            poor = new_key()
            with pytest.raises(OutOfGasMoney) as caught:
                await deploy(rpc, poor, "test")
            assert caught.value.sender == poor.address
            assert caught.value.balance == 0 < caught.value.needed

    run(story())


def test_a_deployment_that_stopped_half_way_goes_on() -> None:
    async def story() -> None:
        async with await Rpc.open(embedded()) as rpc:
            rich, key = dev_keys()[0], new_key()
            made = await deploy(rpc, rich, "test", token=payee(1))
            with pytest.raises(OutOfGasMoney):
                await deploy(rpc, key, "test")
            await send_now(rpc, rich, key.address, value=10**18)
            record = await deploy(rpc, key, "test")
            assert (record.contract, record.deployed_block) == (made.contract, made.deployed_block)
            chain = await Chain.connect(rpc, record)
            assert await chain.token_balance(key.address) > 0

    run(story())


def test_the_contract_has_the_same_address_on_every_chain(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with world(endpoint()) as w, world(endpoint()) as other:
            for one in (w, other):
                assert one.chain.deployment.contract == shared_address()
                assert await deployment_proxy.is_installed(one.chain.rpc)
            assert (
                w.salt != other.salt or w.chain.deployment.genesis_hash == other.chain.deployment.genesis_hash
            )

    run(story())


def test_a_restarted_chain_has_the_same_address_and_other_channels() -> None:
    async def story() -> None:
        async with world(embedded()) as before, world(embedded()) as after:
            assert before.chain.domain == after.chain.domain
            with pytest.raises(WrongGenesis):
                await Chain.connect(after.chain.rpc, before.chain.deployment)
            old = before.terms(payee(1))
            new = replace(old, salt=after.salt)
            assert channel_id(after.chain.domain, new) != channel_id(before.chain.domain, old)

    run(story())


def test_a_chain_without_the_proxy_gets_a_contract_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_module, "LOCAL_CLIENTS", ())  # as a public chain that lacks it

    async def story() -> None:
        async with await Rpc.open(embedded()) as rpc:
            first, second = [await deploy(rpc, dev_keys(1)[0], "test") for _ in range(2)]
            assert len({first.contract, second.contract, shared_address()}) == 3
            assert not await deployment_proxy.is_installed(rpc)
            await Chain.connect(rpc, second)

    run(story())


def test_who_deploys_at_the_same_time_finds_one_contract(anvil: LocalChain) -> None:
    async def story() -> None:
        async with await Rpc.open(anvil.url) as rpc:
            keys = dev_keys(4)[2:]
            records = await asyncio.gather(*(deploy(rpc, key, "test") for key in keys))
            assert {record.contract for record in records} == {shared_address()}
            assert len({record.deployed_block for record in records}) == 1

    run(story())


def test_the_proxy_is_the_known_one() -> None:
    """Its address follows from its sender (Yellow Paper, 7), that from the signature chosen by hand."""
    assert keccak(rlp([deployment_proxy.SENDER, 0]))[12:] == deployment_proxy.PROXY
    sender = Account.recover_transaction(deployment_proxy.TRANSACTION)
    assert bytes.fromhex(sender.removeprefix("0x")) == deployment_proxy.SENDER


RECORD = Deployment(
    name="test",
    url="http://127.0.0.1:8545",
    chain_id=31337,
    genesis_hash=b"\x01" * 32,
    contract=Address(b"\x02" * 20),
    token=Address(b"\x03" * 20),
    deployed_block=2,
    challenge_period=Seconds(60),
    confirmations=1,
    local=True,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contract", "0x1234"),
        ("contract", 5),
        ("genesis_hash", "zz"),
        ("chain_id", "31337"),
        ("chain_id", -1),
        ("confirmations", 0),
        ("confirmations", True),
        ("local", "yes"),
        ("name", None),
        ("finality", "soon"),
        ("surprise", 1),
    ],
)
def test_bad_records_are_refused(tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "record.json"
    RECORD.save(path)
    assert Deployment.load(path) == RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(MalformedDeployment) as caught:
        Deployment.load(path)
    assert str(path) in str(caught.value)


def test_a_record_that_says_nothing_of_finality_counts_blocks(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    RECORD.save(path)
    record = json.loads(path.read_text())
    del record["finality"]
    path.write_text(json.dumps(record))
    assert Deployment.load(path) == RECORD


@pytest.mark.parametrize("content", ["", "[]", "null", '{"name": "x"}'])
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    with pytest.raises(MalformedDeployment):
        Deployment.load(path)
    path.write_text(content)
    with pytest.raises(MalformedDeployment):
        Deployment.load(path)


def test_the_rich_accounts_are_those_of_every_local_chain() -> None:
    assert dev_keys(2)[0].address.hex() == "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"
