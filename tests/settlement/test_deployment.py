"""Deployment records: what they say of a chain, and what becomes of bad ones."""

import json
from pathlib import Path

import pytest

from payments.types import Address, Seconds
from settlement.abi import TOKEN, encode_constructor
from settlement.client import Chain
from settlement.deployment import Deployment, deploy
from settlement.errors import DeploymentUnfinished, MalformedDeployment, OutOfGasMoney
from settlement.local_chain import dev_keys
from settlement.rpc import Rpc
from settlement.transactions import send_now
from settlement.wallet import new_key
from tests.settlement.conftest import Endpoint
from tests.settlement.support import run, world


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
            assert not await w.chain.rpc.code(record.contract, record.deployed_block - 1)
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
            assert again.contract != record.contract
            assert again.folder != record.folder
            assert again.domain.separator != record.domain.separator

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


def test_a_deployment_that_stopped_half_way_goes_on(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with await Rpc.open(endpoint()) as rpc:
            rich, key = dev_keys()[0], new_key()
            fees = await rpc.fees()
            gas = await rpc.estimate(
                None, encode_constructor(TOKEN, key.address), sender=key.address, value=0
            )
            await send_now(rpc, rich, key.address, value=gas * fees.cap * 11 // 10)
            with pytest.raises(DeploymentUnfinished) as caught:
                await deploy(rpc, key, "test")
            token = Address(caught.value.token)
            assert f"0x{token.hex()}" in str(caught.value)
            await send_now(rpc, rich, key.address, value=10**18)
            record = await deploy(rpc, key, "test", token=token)
            chain = await Chain.connect(rpc, record)
            assert await chain.token_balance(key.address, token) > 0

    run(story())


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
