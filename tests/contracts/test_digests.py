"""One digest, three makers: Solidity, eth-account's encode_typed_data, and our own packing in Python."""

import random
from dataclasses import dataclass
from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from web3 import Web3
from web3.contract import Contract

from node import audit
from node.agreement import Agreement, agreement_id, node_key_digest
from node.audit import challenge_digest
from payments.eip712 import Domain
from payments.funding import Funding, funding_digest
from payments.relay_fees import RelayFee, relay_fee_digest
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import Terms, Voucher, channel_id, voucher_digest
from tests.contracts.compiler import compile_support, deploy, deploy_code

TYPES = {
    "Channel": "address payer,address signer,address payee,address token,uint32 challengePeriod,bytes32 salt",
    "Voucher": "bytes32 channelId,uint96 cumulativeAmount,bytes32 condition",
    "Item": "bytes32 agreement,bytes32 dataRoot,uint64 leafCount,uint64[] indices",
    "Challenge": "bytes32 auditId,Item[] items",
    "Agreement": "bytes32 renter,bytes32 farmer,uint64 shardLength,uint64 leafCount,bytes32 dataRoot,"
    "uint96 step,uint32 auditInterval,uint32 responseDeadline,uint32 grace,"
    "uint96 downloadPrice,uint64 start,uint64 end",
    "NodeKey": "bytes32 node",
    "Funding": "address payer,address signer,address token,"
    "uint32 challengePeriod,bytes32 salt,bytes32[] rows",
    "RelayFee": "address relayer,bytes32 channelId,uint96 cumulativeAmount,uint96 maximum,uint64 deadline",
}
ROUNDS = 25


@dataclass(frozen=True)
class Bench:
    channels: Contract
    harness: Contract
    chain_id: int


@pytest.fixture(scope="module")
def bench(tester: Web3) -> Bench:
    built = compile_support()["MessageHashesHarness"]
    harness = deploy_code(tester, built["abi"], built["bytecode"])
    return Bench(deploy(tester, "PaymentChannels"), harness, tester.eth.chain_id)


def fields(name: str) -> list[dict[str, str]]:
    pairs = (field.split(" ") for field in TYPES[name].split(","))
    return [{"name": field, "type": kind} for kind, field in pairs]


def eth_account_digest(name: str, message: dict[str, Any], chain_id: int, contract: str) -> bytes:
    needed = {name, "Item"} if name == "Challenge" else {name}
    domain = {"name": "Tithebarn", "version": "1", "chainId": chain_id, "verifyingContract": contract}
    signable = encode_typed_data(domain, {kind: fields(kind) for kind in needed}, message)
    return bytes(_hash_eip191_message(signable))


def our_domain(chain_id: int, contract: str) -> Domain:
    return Domain(chain_id, Address(bytes.fromhex(contract[2:])))


def an_address(dice: random.Random) -> bytes:
    return dice.choice([bytes(20), b"\xff" * 20, dice.randbytes(20)])


def a_word(dice: random.Random) -> bytes:
    return dice.choice([bytes(32), b"\xff" * 32, dice.randbytes(32)])


def a_number(dice: random.Random, bits: int) -> int:
    number = dice.choice([0, 1, 2**bits - 1, dice.getrandbits(bits)])
    return int(number)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_channel_ids_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    people = [an_address(dice) for _ in range(4)]
    period, salt = a_number(dice, 32), a_word(dice)
    shown = map(Web3.to_checksum_address, people)
    message: dict[str, Any] = dict(zip(["payer", "signer", "payee", "token"], shown, strict=True))
    message |= {"challengePeriod": period, "salt": salt}
    payer, signer, payee, token = map(Address, people)
    terms = Terms(payer, signer, payee, token, Seconds(period), salt)
    for contract, function in (
        (bench.channels, bench.channels.functions.channelId),
        (bench.harness, bench.harness.functions.channel),
    ):
        digest = function(tuple(message.values())).call()
        assert digest == eth_account_digest("Channel", message, bench.chain_id, contract.address)
        assert digest == channel_id(our_domain(bench.chain_id, contract.address), terms)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_voucher_digests_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    message: dict[str, Any] = {
        "channelId": a_word(dice),
        "cumulativeAmount": a_number(dice, 96),
        "condition": a_word(dice),
    }
    voucher = Voucher(*message.values())
    for contract, function in (
        (bench.channels, bench.channels.functions.voucherDigest),
        (bench.harness, bench.harness.functions.voucher),
    ):
        digest = function(tuple(message.values())).call()
        assert digest == eth_account_digest("Voucher", message, bench.chain_id, contract.address)
        assert digest == voucher_digest(our_domain(bench.chain_id, contract.address), voucher)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_challenge_digests_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    items: list[dict[str, Any]] = [
        {
            "agreement": a_word(dice),
            "dataRoot": a_word(dice),
            "leafCount": a_number(dice, 64),
            "indices": [a_number(dice, 64) for _ in range(dice.randrange(5))],
        }
        for _ in range(dice.randrange(4))
    ]
    message: dict[str, Any] = {"auditId": a_word(dice), "items": items}
    sent: tuple[Any, ...] = (message["auditId"], [tuple(item.values()) for item in items])
    digest = bench.harness.functions.challenge(sent).call()
    assert digest == eth_account_digest("Challenge", message, bench.chain_id, bench.harness.address)
    challenge = audit.Challenge(
        sent[0],
        tuple(
            audit.Item(agreement, root, count, tuple(indices)) for agreement, root, count, indices in sent[1]
        ),
    )
    assert digest == challenge_digest(our_domain(bench.chain_id, bench.harness.address), challenge)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_agreement_ids_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    message: dict[str, Any] = {
        field["name"]: a_word(dice) if field["type"] == "bytes32" else a_number(dice, int(field["type"][4:]))
        for field in fields("Agreement")
    }
    digest = bench.harness.functions.agreement(tuple(message.values())).call()
    assert digest == eth_account_digest("Agreement", message, bench.chain_id, bench.harness.address)
    assert digest == agreement_id(
        our_domain(bench.chain_id, bench.harness.address), Agreement(*message.values())
    )


def test_node_key_digests_agree(bench: Bench) -> None:
    node = bytes(range(32))
    digest = bench.harness.functions.nodeKey(node).call()
    assert digest == eth_account_digest("NodeKey", {"node": node}, bench.chain_id, bench.harness.address)
    assert digest == node_key_digest(our_domain(bench.chain_id, bench.harness.address), node)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_funding_digests_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    payer, signer, token = (an_address(dice) for _ in range(3))
    period, salt = a_number(dice, 32), a_word(dice)
    rows = [a_word(dice) for _ in range(seed % 4)]
    message: dict[str, Any] = {
        "payer": Web3.to_checksum_address(payer),
        "signer": Web3.to_checksum_address(signer),
        "token": Web3.to_checksum_address(token),
        "challengePeriod": period,
        "salt": salt,
        "rows": rows,
    }
    funding = Funding(Address(payer), Address(signer), Address(token), Seconds(period), salt, tuple(rows))
    digest = bench.harness.functions.funding(tuple(message.values())).call()
    assert digest == eth_account_digest("Funding", message, bench.chain_id, bench.harness.address)
    assert digest == funding_digest(our_domain(bench.chain_id, bench.harness.address), funding)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_relay_fee_digests_agree(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    relayer, channel = an_address(dice), a_word(dice)
    numbers = a_number(dice, 96), a_number(dice, 96), a_number(dice, 64)
    message: dict[str, Any] = {
        "relayer": Web3.to_checksum_address(relayer),
        "channelId": channel,
        **dict(zip(("cumulativeAmount", "maximum", "deadline"), numbers, strict=True)),
    }
    total, most, deadline = numbers
    fee = RelayFee(Address(relayer), ChannelId(channel), Amount(total), Amount(most), Timestamp(deadline))
    digest = bench.harness.functions.relayFee(tuple(message.values())).call()
    assert digest == eth_account_digest("RelayFee", message, bench.chain_id, bench.harness.address)
    assert digest == relay_fee_digest(our_domain(bench.chain_id, bench.harness.address), fee)
