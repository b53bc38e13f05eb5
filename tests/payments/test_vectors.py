"""The committed vectors: eth-account made them, payments, ethers.js and viem must agree with every one."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from payments.eip712 import Domain, domain_separator, keccak, type_hash, typed_digest
from payments.funding import (
    Authorization,
    Funding,
    WitnessedTransfer,
    authorization_digest,
    funding_digest,
    transfer_digest,
)
from payments.relay_fees import RelayFee, relay_fee_digest
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import (
    SignedVoucher,
    SigningKey,
    Terms,
    Voucher,
    channel_id,
    recover_signer,
    verify_voucher,
    voucher_digest,
)
from tests.payments import make_vectors


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def read_domain(vector: dict[str, Any]) -> Domain:
    fields = vector["domain"]
    return Domain(int(fields["chainId"]), Address(unhex(fields["verifyingContract"])))


def read_terms(message: dict[str, str]) -> Terms:
    return Terms(
        payer=Address(unhex(message["payer"])),
        signer=Address(unhex(message["signer"])),
        payee=Address(unhex(message["payee"])),
        token=Address(unhex(message["token"])),
        challenge_period=Seconds(int(message["challengePeriod"])),
        salt=unhex(message["salt"]),
    )


def read_voucher(message: dict[str, str]) -> Voucher:
    return Voucher(
        ChannelId(unhex(message["channelId"])),
        Amount(int(message["cumulativeAmount"])),
        unhex(message["condition"]),
    )


def read_funding(message: dict[str, Any]) -> Funding:
    return Funding(
        payer=Address(unhex(message["payer"])),
        signer=Address(unhex(message["signer"])),
        token=Address(unhex(message["token"])),
        challenge_period=Seconds(int(message["challengePeriod"])),
        salt=unhex(message["salt"]),
        rows=tuple(map(unhex, message["rows"])),
    )


def read_relay_fee(message: dict[str, str]) -> RelayFee:
    return RelayFee(
        relayer=Address(unhex(message["relayer"])),
        channel_id=ChannelId(unhex(message["channelId"])),
        cumulative_amount=Amount(int(message["cumulativeAmount"])),
        maximum=Amount(int(message["maximum"])),
        deadline=Timestamp(int(message["deadline"])),
    )


def read_authorization(message: dict[str, str]) -> Authorization:
    return Authorization(
        payer=Address(unhex(message["from"])),
        receiver=Address(unhex(message["to"])),
        value=int(message["value"]),
        valid_after=int(message["validAfter"]),
        valid_before=int(message["validBefore"]),
        nonce=unhex(message["nonce"]),
    )


def read_transfer(message: dict[str, Any]) -> WitnessedTransfer:
    return WitnessedTransfer(
        token=Address(unhex(message["permitted"]["token"])),
        amount=int(message["permitted"]["amount"]),
        spender=Address(unhex(message["spender"])),
        nonce=int(message["nonce"]),
        deadline=int(message["deadline"]),
        funding=read_funding(message["witness"]),
    )


def packed_digest(vector: dict[str, Any]) -> bytes:
    domain, message = read_domain(vector), vector["message"]
    digest: bytes
    match vector["primaryType"]:
        case "Channel":
            digest = channel_id(domain, read_terms(message))
        case "Voucher":
            digest = voucher_digest(domain, read_voucher(message))
        case "Funding":
            digest = funding_digest(domain, read_funding(message))
        case "RelayFee":
            digest = relay_fee_digest(domain, read_relay_fee(message))
        case "ReceiveWithAuthorization":
            digest = authorization_digest(unhex(vector["separator"]), read_authorization(message))
        case "PermitWitnessTransferFrom":
            digest = transfer_digest(domain.chain_id, read_transfer(message))
        case "NodeKey":
            digest = typed_digest(domain, keccak(type_hash("NodeKey(bytes32 node)") + unhex(message["node"])))
        case _:
            digest = unhex(vector["digest"])  # audits and agreements are packed by `node`, and tested there
    return digest


def test_vectors_cover_every_type(vectors: list[dict[str, Any]]) -> None:
    assert {vector["primaryType"] for vector in vectors} == set(make_vectors.TYPES)
    assert len(vectors) > 36


def test_committed_vectors_are_what_their_maker_makes() -> None:
    assert make_vectors.FILE.read_text() == make_vectors.render()


def test_separators_agree(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        if vector["domain"]["name"] == "Tithebarn":
            assert read_domain(vector).separator == unhex(vector["separator"])
        elif "version" in vector["domain"]:
            name, version, chain_id, contract = vector["domain"].values()
            assert domain_separator(name, version, int(chain_id), Address(unhex(contract))) == unhex(
                vector["separator"]
            )


def test_digests_agree(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        assert packed_digest(vector) == unhex(vector["digest"])


def test_signatures_agree_both_ways(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        key = SigningKey(unhex(vector["secret"]))
        digest, signature = unhex(vector["digest"]), unhex(vector["signature"])
        assert key.address == unhex(vector["signer"])
        assert key.sign(digest) == signature
        assert recover_signer(digest, signature) == key.address


def test_vouchers_verify(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        if vector["primaryType"] == "Voucher":
            signed = SignedVoucher(read_voucher(vector["message"]), unhex(vector["signature"]))
            verify_voucher(read_domain(vector), signed, Address(unhex(vector["signer"])))


@pytest.mark.parametrize("library", ["ethers", "viem"])
def test_javascript_agrees(node: str, vectors: list[dict[str, Any]], library: str) -> None:
    script = Path(__file__).with_name(f"vectors_{library}.mjs")
    ran = subprocess.run(
        [node, script, make_vectors.FILE], capture_output=True, text=True, check=False, timeout=120
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert int(ran.stdout) == len(vectors)
