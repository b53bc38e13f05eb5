"""What wallets see and make: typed data with named fields, signed by `cast` and by eth_signTypedData_v4."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

import contracts
from payments.vouchers import SigningKey, recover_signer
from settlement import tools
from settlement.local_chain import ChainKind, LocalChain, dev_keys
from settlement.rpc import Rpc
from tests.payments import make_vectors
from tests.payments.test_vectors import unhex

KINDS = sorted(make_vectors.TYPES)
SAMPLES = 16
"""Vectors that `cast` is asked about: each takes two processes."""


def typed_data(vector: dict[str, Any]) -> dict[str, Any]:
    """The JSON that eth_signTypedData_v4 takes and a wallet shows: every field by its name."""
    kind = vector["primaryType"]
    domain = [
        ("name", "string"),
        ("version", "string"),
        ("chainId", "uint256"),
        ("verifyingContract", "address"),
    ]
    named = [{"name": name, "type": of} for name, of in domain if name in vector["domain"]]
    return {
        "types": {"EIP712Domain": named, **make_vectors.named_fields(kind)},
        "primaryType": kind,
        "domain": vector["domain"],
        "message": vector["message"],
    }


def cast(*arguments: str) -> str:
    ran = subprocess.run(
        [*tools.foundry("cast"), "wallet", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def compact(signature: bytes) -> bytes:
    """65 bytes r || s || v as 64 of EIP-2098."""
    vs = int.from_bytes(signature[32:64]) | (signature[64] - 27) << 255
    return signature[:32] + vs.to_bytes(32)


def spread(signature: bytes) -> bytes:
    """64 bytes of EIP-2098 as r || s || v."""
    vs = int.from_bytes(signature[32:])
    return signature[:32] + (vs & (2**255 - 1)).to_bytes(32) + bytes((27 + (vs >> 255),))


def samples(vectors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some of every kind, vouchers above all; chain ids that a 64-bit number holds."""
    known = [one for one in vectors if int(one["domain"]["chainId"]) < 2**64]
    vouchers = [one for one in known if one["primaryType"] == "Voucher"]
    others = [next(one for one in known if one["primaryType"] == kind) for kind in KINDS]
    return [*others, *vouchers[: SAMPLES - len(others)]]


def test_cast_signs_what_we_sign(vectors: list[dict[str, Any]]) -> None:
    for vector in samples(vectors):
        made = unhex(
            cast("sign", "--data", json.dumps(typed_data(vector)), "--private-key", vector["secret"])
        )
        assert compact(made) == unhex(vector["signature"])
        assert recover_signer(unhex(vector["digest"]), compact(made)) == unhex(vector["signer"])


def test_cast_verifies_what_we_sign(vectors: list[dict[str, Any]]) -> None:
    for vector in samples(vectors):
        ours = SigningKey(unhex(vector["secret"])).sign(unhex(vector["digest"]))
        data, signature = json.dumps(typed_data(vector)), "0x" + spread(ours).hex()
        said = cast("verify", "--data", "--address", vector["signer"], data, signature)
        assert "succeeded" in said


@pytest.mark.parametrize(("kind", "function"), [("Channel", "channelId"), ("Voucher", "voucherDigest")])
def test_typed_data_shows_the_fields_of_the_contract(
    vectors: list[dict[str, Any]], kind: str, function: str
) -> None:
    abi = next(entry for entry in contracts.load("PaymentChannels").abi if entry.get("name") == function)
    fields = [{"name": one["name"], "type": one["type"]} for one in abi["inputs"][0]["components"]]
    shown = [typed_data(vector) for vector in vectors if vector["primaryType"] == kind]
    assert shown
    for data in shown:
        assert data["types"][kind] == fields
        assert list(data["message"]) == [field["name"] for field in fields]
        assert data["domain"]["name"] == "Tithebarn"


def test_a_nodes_wallet_signs_typed_data_as_we_do(vectors: list[dict[str, Any]]) -> None:
    """Anvil holds the key, as a wallet would, and is given nothing but the JSON."""

    async def story(url: str) -> None:
        (key,) = dev_keys(1)
        async with await Rpc.open(url) as rpc:
            for vector in samples(vectors):
                made = await rpc.request("eth_signTypedData_v4", key.address, typed_data(vector))
                assert compact(unhex(made)) == key.sign(unhex(vector["digest"]))

    with LocalChain.start(ChainKind.ANVIL) as chain:
        asyncio.run(story(chain.url))
