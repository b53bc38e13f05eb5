"""The committed artifacts on eth-tester, Anvil and Ganache, deployed and driven through web3.py alone."""

from dataclasses import dataclass
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import TxReceipt

import contracts
from tests.contracts.compiler import deploy

PERIOD = 3600
SALT = b"\x5a" * 32
SUPPLY = 10**27
ZERO = "0x" + "00" * 20
STALE, BAD_SIGNATURE, NOT_CLOSING, TOO_EARLY, CLOSING = 3, 5, 7, 8, 2


@dataclass(frozen=True)
class World:
    web3: Web3
    channels: Contract
    token: Contract
    payer: str
    payees: list[str]
    signer: LocalAccount

    def send(self, call: ContractFunction, sender: str | None = None) -> TxReceipt:
        hashed = call.transact({"from": sender or self.payer})
        receipt = self.web3.eth.wait_for_transaction_receipt(hashed)
        assert receipt["status"] == 1
        return receipt

    def terms(self, payee: str) -> tuple[str, str, str, str, int, bytes]:
        return (self.payer, self.signer.address, payee, self.token.address, PERIOD, SALT)

    def head(self) -> tuple[str, str, int, bytes]:
        """What every call of the payer begins with."""
        return (self.signer.address, self.token.address, PERIOD, SALT)

    def id(self, payee: str) -> bytes:
        found: bytes = self.channels.functions.channelId(self.terms(payee)).call()
        return found

    def state(self, payee: str) -> tuple[int, int, int]:
        deposit, claimed, closes_at = self.channels.functions.channels([self.id(payee)]).call()[0]
        return deposit, claimed, closes_at

    def balance(self, who: str) -> int:
        held: int = self.token.functions.balanceOf(who).call()
        return held

    def claim(self, payee: str, total: int, key: LocalAccount | None = None) -> tuple[Any, ...]:
        """Sign a voucher, with eth-account, and make a row of it."""
        message = {"channelId": self.id(payee), "cumulativeAmount": total, "condition": bytes(32)}
        kinds = {"channelId": "bytes32", "cumulativeAmount": "uint96", "condition": "bytes32"}
        signable = encode_typed_data(
            {
                "name": "Tithebarn",
                "version": "1",
                "chainId": self.web3.eth.chain_id,
                "verifyingContract": self.channels.address,
            },
            {"Voucher": [{"name": name, "type": kind} for name, kind in kinds.items()]},
            message,
        )
        signed = (key or self.signer).sign_message(signable)
        vs = signed.s | (signed.v - 27) << 255
        return (
            self.payer,
            row(self.signer.address, PERIOD),
            row(payee, total),
            SALT,
            signed.r.to_bytes(32),
            vs.to_bytes(32),
        )

    def events(self, name: str, receipt: TxReceipt) -> list[dict[str, Any]]:
        event = self.channels.events[name]()
        topic = self.web3.keccak(text=event.signature)
        logs = [log for log in receipt["logs"] if log["topics"][0] == topic]
        return [dict(event.process_log(log)["args"]) for log in logs]

    def warp(self, seconds: int) -> None:
        if "EthereumTester" in self.web3.client_version:
            tester = self.web3.provider.ethereum_tester  # type: ignore[attr-defined]
            tester.time_travel(self.web3.eth.get_block("latest")["timestamp"] + seconds)
            return
        self.web3.provider.make_request("evm_increaseTime", [seconds])  # type: ignore[arg-type]
        self.web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]


def row(payee: str, total: int) -> bytes:
    return bytes.fromhex(payee[2:]) + total.to_bytes(12)


@pytest.fixture
def world(web3: Web3) -> World:
    payer, *payees = [str(account) for account in web3.eth.accounts[:4]]
    token = deploy(web3, "StorageToken", payer)
    channels = deploy(web3, "PaymentChannels")
    made = World(web3, channels, token, payer, payees, Account.create())
    made.send(token.functions.approve(channels.address, 2**256 - 1))
    return made


def test_deployed_code_is_the_artifacts(world: World) -> None:
    for contract, name in ((world.channels, "PaymentChannels"), (world.token, "StorageToken")):
        assert contracts.load(name).matches(world.web3.eth.get_code(contract.address))


def test_life_of_channels_from_funding_to_withdrawal(world: World) -> None:
    first, second, third = world.payees
    calls = world.channels.functions

    receipt = world.send(calls.fund(*world.head(), [row(payee, 1000) for payee in world.payees]))
    (funded,) = world.events("Funded", receipt)
    assert funded["rows"] == [row(payee, 1000) for payee in world.payees]
    assert (funded["payer"], funded["token"], funded["signer"]) == (
        world.payer,
        world.token.address,
        world.signer.address,
    )
    world.send(calls.fund(*world.head(), [row(first, 1000), row(second, 1500)]))
    assert [world.state(payee) for payee in world.payees] == [(1000, 0, 0), (1500, 0, 0), (1000, 0, 0)]
    assert world.balance(world.channels.address) == 3500

    rows = [world.claim(first, 300), world.claim(second, 400, Account.create()), world.claim(third, 50)]
    receipt = world.send(calls.claim(world.token.address, rows), third)
    assert world.events("Skipped", receipt) == [{"channelId": world.id(second), "reason": BAD_SIGNATURE}]
    (many,) = world.events("ClaimedMany", receipt)
    total = (300).to_bytes(32), (50).to_bytes(32)
    assert many["rows"] == [world.id(first), total[0], bytes(32), bytes(32), world.id(third), total[1]]
    receipt = world.send(calls.claimOne(world.token.address, world.claim(first, 350)), first)
    assert world.events("Claimed", receipt) == [{"channelId": world.id(first), "claimed": 350}]

    receipt = world.send(calls.push(*world.head(), [row(first, 340), row(second, 9999)]))
    assert world.events("Pushed", receipt)[0]["rows"] == [row(first, 350), row(second, 1500)]
    assert world.events("Skipped", receipt) == [{"channelId": world.id(first), "reason": STALE}]
    assert [world.balance(payee) for payee in world.payees] == [350, 1500, 50]

    receipt = world.send(calls.requestClose(*world.head(), [first]))
    closes_at = world.web3.eth.get_block(receipt["blockNumber"])["timestamp"] + PERIOD
    assert world.events("CloseRequested", receipt) == [{"channelId": world.id(first), "closesAt": closes_at}]
    receipt = world.send(calls.withdraw(*world.head(), [first, third]))
    assert [event["reason"] for event in world.events("Skipped", receipt)] == [TOO_EARLY, NOT_CLOSING]
    receipt = world.send(calls.fund(*world.head(), [row(first, 5000)]))
    assert world.events("Skipped", receipt) == [{"channelId": world.id(first), "reason": CLOSING}]

    world.warp(PERIOD)
    world.send(calls.claim(world.token.address, [world.claim(first, 400)]), third)
    receipt = world.send(calls.withdraw(*world.head(), [first]))
    assert world.events("Withdrawn", receipt) == [{"channelId": world.id(first), "amount": 600}]
    assert world.state(first) == (1000, 1000, closes_at)

    world.send(calls.requestClose(*world.head(), [third]))
    receipt = world.send(calls.release(world.terms(third)), third)
    assert world.events("Withdrawn", receipt) == [{"channelId": world.id(third), "amount": 950}]
    assert world.balance(world.channels.address) == 0
    assert world.balance(world.payer) == SUPPLY - 400 - 1500 - 50


def test_sweep_of_many_payers_pays_with_one_transfer(world: World) -> None:
    """Rows with payee zero follow the first one's."""
    payee = world.payees[0]
    second = World(
        world.web3, world.channels, world.token, world.payees[1], [payee], Account.create()
    )  # another payer
    world.send(world.token.functions.transfer(second.payer, 1000))
    second.send(world.token.functions.approve(world.channels.address, 1000))
    for payer in (world, second):
        payer.send(payer.channels.functions.fund(*payer.head(), [row(payee, 1000)]))
    follower = (*second.claim(payee, 30)[:2], row(ZERO, 30), *second.claim(payee, 30)[3:])
    receipt = world.send(
        world.channels.functions.claim(world.token.address, [world.claim(payee, 20), follower])
    )
    assert len(receipt["logs"]) == 2  # the token's and ours
    assert world.balance(payee) == 50
