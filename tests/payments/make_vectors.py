"""Writes vectors.json: typed data with digest, signature and signer, for all implementations to agree on.

    .venv/bin/python tests/payments/make_vectors.py

Made with eth-account alone, nothing of payments is asked. Integers are decimal strings (JavaScript's numbers
end at 2**53), bytes are 0x hex, signatures are 64 bytes of EIP-2098.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data

FILE = Path(__file__).with_name("vectors.json")

FUNDING = [
    ("address", "payer"),
    ("address", "signer"),
    ("address", "token"),
    ("uint32", "challengePeriod"),
    ("bytes32", "salt"),
    ("bytes32[]", "rows"),
]
TYPES = {
    "Channel": {
        "Channel": [
            ("address", "payer"),
            ("address", "signer"),
            ("address", "payee"),
            ("address", "token"),
            ("uint32", "challengePeriod"),
            ("bytes32", "salt"),
        ]
    },
    "Voucher": {
        "Voucher": [("bytes32", "channelId"), ("uint96", "cumulativeAmount"), ("bytes32", "condition")]
    },
    "Funding": {"Funding": FUNDING},
    "RelayFee": {
        "RelayFee": [
            ("address", "relayer"),
            ("bytes32", "channelId"),
            ("uint96", "cumulativeAmount"),
            ("uint96", "maximum"),
            ("uint64", "deadline"),
        ]
    },
    "ReceiveWithAuthorization": {
        "ReceiveWithAuthorization": [
            ("address", "from"),
            ("address", "to"),
            ("uint256", "value"),
            ("uint256", "validAfter"),
            ("uint256", "validBefore"),
            ("bytes32", "nonce"),
        ]
    },
    "PermitWitnessTransferFrom": {
        "PermitWitnessTransferFrom": [
            ("TokenPermissions", "permitted"),
            ("address", "spender"),
            ("uint256", "nonce"),
            ("uint256", "deadline"),
            ("Funding", "witness"),
        ],
        "TokenPermissions": [("address", "token"), ("uint256", "amount")],
        "Funding": FUNDING,
    },
    "NodeKey": {"NodeKey": [("bytes32", "node")]},
    "Challenge": {
        "Challenge": [("bytes32", "auditId"), ("Item[]", "items")],
        "Item": [
            ("bytes32", "agreement"),
            ("bytes32", "dataRoot"),
            ("uint64", "leafCount"),
            ("uint64[]", "indices"),
        ],
    },
    "Agreement": {
        "Agreement": [
            ("bytes32", "renter"),
            ("bytes32", "farmer"),
            ("uint64", "shardLength"),
            ("uint64", "leafCount"),
            ("bytes32", "dataRoot"),
            ("uint96", "step"),
            ("uint32", "auditInterval"),
            ("uint32", "responseDeadline"),
            ("uint32", "grace"),
            ("uint96", "downloadPrice"),
            ("uint64", "start"),
            ("uint64", "end"),
        ]
    },
}
ETH_TESTER = (131277322940537, bytes.fromhex("f2e246bb76df876cef8b38ae84130f4f55de395b"))
"""Chain id of eth-tester and the address of the first contract its first account deploys."""
PERMIT2 = bytes.fromhex("000000000022d473030f116ddee9f6b43ac78ba3")
ROWS = [0, 1, 5]
"""How many rows the fundings have."""
AMOUNTS = [0, 1, 255, 10**18, 2**64 - 1, 2**64, 2**95, 2**96 - 1]
PERIODS = [0, 60, 86_400, 2**32 - 1]


def seed(*parts: object) -> bytes:
    """32 bytes that depend on nothing but their name."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).digest()


DOMAINS = [ETH_TESTER, (1, seed("contract", 1)[:20]), (2**64 + 7, seed("contract", 2)[:20])]


def messages(domain: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, period in enumerate(PERIODS):
        addresses = {role: seed(role, number)[:20] for role in ("payer", "signer", "payee", "token")}
        yield "Channel", {**addresses, "challengePeriod": period, "salt": seed("salt", number)}
    for number, amount in enumerate(AMOUNTS):
        condition = seed("condition", number) if number % 2 else bytes(32)
        yield (
            "Voucher",
            {"channelId": seed("id", domain, number), "cumulativeAmount": amount, "condition": condition},
        )
    for number, amount in enumerate(AMOUNTS):
        fee = {"cumulativeAmount": amount, "maximum": amount // 3, "deadline": 2 ** (8 * number) - 1}
        yield (
            "RelayFee",
            {"relayer": seed("relayer", number)[:20], "channelId": seed("id", domain, number), **fee},
        )
    for count in ROWS:
        yield "Funding", funding(count)
    yield "NodeKey", {"node": seed("node", domain)}
    for count in (0, 1, 3):
        items = [
            {
                "agreement": seed("agreement", item),
                "dataRoot": seed("root", item),
                "leafCount": 2**item,
                "indices": list(range(item)),
            }
            for item in range(count)
        ]
        yield "Challenge", {"auditId": seed("audit", count), "items": items}
    yield (
        "Agreement",
        {
            "renter": seed("renter"),
            "farmer": seed("farmer"),
            "shardLength": 2_314_098,
            "leafCount": 2260,
            "dataRoot": seed("data"),
            "step": 2**96 - 1,
            "auditInterval": 3600,
            "responseDeadline": 60,
            "grace": 604_800,
            "downloadPrice": 10**15,
            "start": 1_800_000_000,
            "end": 2**64 - 1,
        },
    )


def funding(count: int) -> dict[str, Any]:
    addresses = {role: seed(role, count)[:20] for role in ("payer", "signer", "token")}
    rows = [seed("payee", row)[:20] + row.to_bytes(12) for row in range(count)]
    return {**addresses, "challengePeriod": PERIODS[1], "salt": seed("salt", count), "rows": rows}


def foreign(
    number: int, chain_id: int, contract: bytes
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """What a payer signs in the domains of a token (EIP-3009) and of Permit2, to fund channels."""
    token = {"name": "A token", "version": "2", "chainId": chain_id}
    permit2 = {"name": "Permit2", "chainId": chain_id, "verifyingContract": to_json(PERMIT2)}
    for count in ROWS:
        rows = funding(count)
        yield (
            {**token, "verifyingContract": to_json(rows["token"])},
            "ReceiveWithAuthorization",
            {
                "from": rows["payer"],
                "to": contract,
                "value": 2**96 - 1 - count,
                "validAfter": count,
                "validBefore": 2**256 - 1,
                "nonce": seed("nonce", number, count),
            },
        )
        yield (
            permit2,
            "PermitWitnessTransferFrom",
            {
                "permitted": {"token": rows["token"], "amount": 2**96 - 1},
                "spender": contract,
                "nonce": 2**255 + count,
                "deadline": 1_800_000_000,
                "witness": rows,
            },
        )


def vector(domain: dict[str, Any], kind: str, message: dict[str, Any], secret: bytes) -> dict[str, Any]:
    signable = encode_typed_data(domain, named_fields(kind), message)
    signed = Account.sign_message(signable, secret)
    vs = signed.s | (signed.v - 27) << 255
    return {
        "domain": to_json(domain),
        "separator": to_json(signable.header),
        "primaryType": kind,
        "message": to_json(message),
        "digest": to_json(bytes(signed.message_hash)),
        "secret": to_json(secret),
        "signer": Account.from_key(secret).address.lower(),
        "signature": to_json(signed.r.to_bytes(32) + vs.to_bytes(32)),
    }


def named_fields(kind: str) -> dict[str, list[dict[str, str]]]:
    return {
        name: [{"name": field, "type": type_} for type_, field in fields]
        for name, fields in TYPES[kind].items()
    }


def to_json(value: object) -> object:
    match value:
        case bytes():
            return "0x" + value.hex()
        case int():
            return str(value)
        case dict():
            return {name: to_json(item) for name, item in value.items()}
        case list():
            return [to_json(item) for item in value]
        case _:
            return value


def vectors() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number, (chain_id, contract) in enumerate(DOMAINS):
        domain = {
            "name": "Tithebarn",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": to_json(contract),
        }
        for kind, message in messages(number):
            made.append(vector(domain, kind, message, seed("secret", number, len(made))))
        for other, kind, message in foreign(number, chain_id, contract):
            made.append(vector(other, kind, message, seed("secret", number, len(made))))
    return made


def render() -> str:
    return (
        json.dumps({"types": {kind: named_fields(kind) for kind in TYPES}, "vectors": vectors()}, indent=1)
        + "\n"
    )


if __name__ == "__main__":
    FILE.write_text(render())
