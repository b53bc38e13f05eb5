"""The contract itself, on eth-tester: it computes the digests Python packs and pays what Python signs."""

from dataclasses import astuple, dataclass, replace
from typing import Any

import pytest
from eth_tester.exceptions import TransactionFailed
from web3 import EthereumTesterProvider, Web3
from web3.contract import Contract

from contracts import load
from payments.eip712 import Domain, keccak
from payments.types import Address, Amount, Seconds
from payments.vouchers import SignedVoucher, Terms, Voucher, channel_id, sign_voucher, voucher_digest
from tests.payments.make_vectors import ETH_TESTER
from tests.payments.support import CONDITION, SIGNER, STRANGER, make_key
from tests.payments.test_vectors import read_domain, read_terms, read_voucher, unhex

DEPOSIT = 1000
FAULTS = ["stranger", "domain", "condition", "parity", "high s"]
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


@dataclass(frozen=True)
class Deployed:
    channels: Contract
    token: Contract
    domain: Domain
    payer: str


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    web3 = Web3(EthereumTesterProvider())
    payer = web3.eth.accounts[0]
    channels = deploy(web3, payer, "PaymentChannels")  # first, so that its address is that of the vectors
    token = deploy(web3, payer, "StorageToken", payer)
    token.functions.approve(channels.address, 2**256 - 1).transact({"from": payer})
    domain = Domain(web3.eth.chain_id, Address(unhex(channels.address)))
    return Deployed(channels, token, domain, payer)


def deploy(web3: Web3, sender: str, name: str, *arguments: object) -> Contract:
    artifact = load(name)
    factory = web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    receipt = web3.eth.wait_for_transaction_receipt(
        factory.constructor(*arguments).transact({"from": sender})
    )
    return factory(receipt["contractAddress"])


def open_channel(deployed: Deployed, payee: int) -> Terms:
    """Fund a channel of its own for one test."""
    terms = Terms(
        payer=Address(unhex(deployed.payer)),
        signer=SIGNER.address,
        payee=make_key(payee).address,
        token=Address(unhex(deployed.token.address)),
        challenge_period=Seconds(60),
        salt=payee.to_bytes(32),
    )
    row = terms.payee + DEPOSIT.to_bytes(12)
    call = deployed.channels.functions.fund(
        checksum(terms.signer), deployed.token.address, 60, terms.salt, [row]
    )
    call.transact({"from": deployed.payer})
    return terms


def claim(deployed: Deployed, terms: Terms, signed: SignedVoucher) -> None:
    row = (
        deployed.payer,
        terms.signer + terms.challenge_period.to_bytes(12),
        terms.payee + signed.total.to_bytes(12),
        terms.salt,
        signed.signature[:32],
        signed.signature[32:],
    )
    call = deployed.channels.functions.claimOne(deployed.token.address, row)
    call.transact({"from": deployed.payer})


def balance(deployed: Deployed, terms: Terms) -> int:
    held: int = deployed.token.functions.balanceOf(checksum(terms.payee)).call()
    return held


def checksum(address: bytes) -> str:
    return Web3.to_checksum_address(address)


def test_separator_is_the_contracts(deployed: Deployed) -> None:
    _, name, version, chain_id, contract, salt, extensions = deployed.channels.functions.eip712Domain().call()
    assert (name, version, salt, extensions) == ("Tithebarn", "1", bytes(32), [])
    assert Domain(chain_id, Address(unhex(contract))) == deployed.domain
    assert (deployed.domain.chain_id, deployed.domain.contract) == ETH_TESTER


def test_contract_computes_the_committed_digests(deployed: Deployed, vectors: list[dict[str, Any]]) -> None:
    checked = {"Channel": 0, "Voucher": 0}
    for vector in vectors:
        if read_domain(vector) != deployed.domain or vector["primaryType"] not in checked:
            continue
        checked[vector["primaryType"]] += 1
        assert contract_digest(deployed, vector) == unhex(vector["digest"])
    assert checked == {"Channel": 4, "Voucher": 8}


def contract_digest(deployed: Deployed, vector: dict[str, Any]) -> bytes:
    functions, message = deployed.channels.functions, vector["message"]
    if vector["primaryType"] == "Channel":
        terms = read_terms(message)
        fields = (*(checksum(word) for word in astuple(terms)[:4]), *astuple(terms)[4:])
        return bytes(functions.channelId(fields).call())
    return bytes(functions.voucherDigest(astuple(read_voucher(message))).call())


def test_contract_pays_what_python_signed(deployed: Deployed) -> None:
    terms = open_channel(deployed, 11)
    for total in (1, 400, DEPOSIT):
        voucher = Voucher(channel_id(deployed.domain, terms), Amount(total))
        claim(deployed, terms, sign_voucher(deployed.domain, voucher, SIGNER))
        assert balance(deployed, terms) == total
    states = deployed.channels.functions.channels([channel_id(deployed.domain, terms)]).call()
    assert states == [(DEPOSIT, DEPOSIT, 0)]


@pytest.mark.parametrize("fault", FAULTS)
def test_contract_refuses_what_python_refuses(deployed: Deployed, fault: str) -> None:
    terms = open_channel(deployed, 20 + FAULTS.index(fault))
    voucher = Voucher(channel_id(deployed.domain, terms), Amount(5))
    good = sign_voucher(deployed.domain, voucher, SIGNER)
    with pytest.raises(TransactionFailed) as caught:
        claim(deployed, terms, spoil(good, fault, deployed.domain))
    bad_signature = 5
    refused = keccak(b"Refused(bytes32,uint8)")[:4] + voucher.channel_id + bad_signature.to_bytes(32)
    assert str(refused) in str(caught.value)
    claim(deployed, terms, good)
    assert balance(deployed, terms) == 5


def spoil(signed: SignedVoucher, fault: str, domain: Domain) -> SignedVoucher:
    r, vs = signed.signature[:32], int.from_bytes(signed.signature[32:])
    match fault:
        case "stranger":
            return sign_voucher(domain, signed.voucher, STRANGER)
        case "domain":
            return sign_voucher(Domain(1, domain.contract), signed.voucher, SIGNER)
        case "condition":
            return sign_voucher(domain, replace(signed.voucher, condition=CONDITION), SIGNER)
        case "parity":
            return replace(signed, signature=r + (vs ^ 1 << 255).to_bytes(32))
        case _:
            return replace(signed, signature=r + (ORDER // 2 + 1).to_bytes(32))


def test_digests_of_the_contract_and_of_python_are_one(deployed: Deployed) -> None:
    voucher = Voucher(channel_id(deployed.domain, open_channel(deployed, 31)), Amount(2**96 - 1), CONDITION)
    theirs = deployed.channels.functions.voucherDigest(astuple(voucher)).call()
    assert theirs == voucher_digest(deployed.domain, voucher)
