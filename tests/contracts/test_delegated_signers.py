"""Signers that are keys with code: EIP-7702, by real transactions of type 4 on Anvil."""

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import Web3Exception

from payments.eip712 import Domain
from payments.types import Address, Amount, Seconds
from payments.vouchers import SigningKey, Terms, Voucher, channel_id, sign_voucher, voucher_digest
from settlement.chain_events import key, row
from settlement.local_chain import DEV_PATH, DEV_PHRASE, ChainKind, LocalChain
from settlement.wallet import key_from_phrase, new_key
from tests.contracts.compiler import compile_support, deploy, deploy_code

PERIOD = Seconds(3600)
SALT = b"\x5a" * 32
PAYEE = Address(b"\x77" * 20)
DELEGATION = bytes.fromhex("ef0100")


@pytest.fixture(scope="module")
def anvil() -> Iterator[Web3]:
    with LocalChain.start(ChainKind.ANVIL, block_time=0) as chain:
        yield Web3(HTTPProvider(chain.url))


class World:
    """A funded channel whose signer is a fresh key."""

    def __init__(self, web3: Web3) -> None:
        self.web3 = web3
        self.payer = web3.eth.accounts[0]
        self.token = deploy(web3, "StorageToken", self.payer)
        self.channels = deploy(web3, "PaymentChannels")
        self.signer = new_key()
        self.domain = Domain(web3.eth.chain_id, self.address(self.channels))
        self.send(self.token.functions.approve(self.channels.address, 2**256 - 1))
        packed = (key(self.signer.address, PERIOD), SALT, row(PAYEE, Amount(100)))
        self.send(self.channels.functions.fundOne(self.token.address, *packed))

    @staticmethod
    def address(contract: Contract) -> Address:
        return Address(bytes.fromhex(contract.address[2:]))

    def send(self, call: ContractFunction) -> None:
        self.wait(call.transact({"from": self.payer}))

    def wait(self, sent: bytes) -> None:
        assert self.web3.eth.wait_for_transaction_receipt(sent)["status"] == 1  # type: ignore[arg-type]

    def delegate(self, to: Contract) -> None:
        """Give the signer's key the code of a contract, by an authorization that somebody else carries."""
        chain_id, sender = self.web3.eth.chain_id, key_from_phrase(DEV_PHRASE, f"{DEV_PATH}/0")
        authorization = Account.sign_authorization(
            {"chainId": chain_id, "address": to.address, "nonce": 0}, self.signer.secret
        )
        transaction: dict[str, Any] = {
            "type": 4,
            "chainId": chain_id,
            "nonce": self.web3.eth.get_transaction_count(self.payer),
            "to": self.payer,
            "value": 0,
            "gas": 200_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 1,
            "data": b"",
            "authorizationList": [authorization],
        }
        signed = Account.sign_transaction(transaction, sender.secret)
        self.wait(self.web3.eth.send_raw_transaction(signed.raw_transaction))
        code = self.web3.eth.get_code(Web3.to_checksum_address(self.signer.address))
        assert code == DELEGATION + self.address(to)

    def voucher(self, total: int) -> Voucher:
        payer = Address(bytes.fromhex(self.payer[2:]))
        terms = Terms(payer, self.signer.address, PAYEE, self.address(self.token), PERIOD, SALT)
        return Voucher(channel_id(self.domain, terms), Amount(total))

    def claim(self, total: int, by: SigningKey) -> ContractFunction:
        signature = sign_voucher(self.domain, self.voucher(total), by).signature
        words = (key(self.signer.address, PERIOD), row(PAYEE, Amount(total)), SALT)
        claim = (self.payer, *words, signature[:32], signature[32:])
        return self.channels.functions.claimOne(self.token.address, claim)

    def paid(self) -> int:
        held: int = self.token.functions.balanceOf(Web3.to_checksum_address(PAYEE)).call()
        return held


def test_a_delegated_key_signs_vouchers_as_before(anvil: Web3) -> None:
    """It is asked first; the code it delegates to may know no signatures at all."""
    world = World(anvil)
    before = world.paid()
    world.send(world.claim(10, world.signer))
    world.delegate(world.token)
    world.send(world.claim(30, world.signer))
    assert world.paid() == before + 30
    with pytest.raises(Web3Exception):
        world.claim(40, new_key()).call({"from": world.payer})


def test_the_code_of_a_delegated_key_may_accept_another_s_signature(anvil: Web3) -> None:
    world = World(anvil)
    friend = new_key()
    digest = voucher_digest(world.domain, world.voucher(40))
    built = compile_support()["WillingAccount"]
    account = deploy_code(anvil, built["abi"], built["bytecode"], digest, friend.sign(digest))
    with pytest.raises(Web3Exception):
        world.claim(40, friend).call({"from": world.payer})
    world.delegate(account)
    world.send(world.claim(40, friend))
    with pytest.raises(Web3Exception):
        world.claim(41, friend).call({"from": world.payer})
