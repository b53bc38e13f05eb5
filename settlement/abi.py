"""The ABI of our contracts as plain functions: calls in, results and logs out, addresses as 20 bytes.

Read once from the artifacts; nothing here talks to a chain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

from eth_abi.abi import decode, encode
from eth_typing import ABIElement
from eth_utils.abi import abi_to_signature, collapse_if_tuple
from eth_utils.address import to_canonical_address

import contracts
from payments.eip712 import keccak

CHANNELS: Final = "PaymentChannels"
TOKEN: Final = "StorageToken"  # noqa: S105 - a contract's name


@dataclass(frozen=True, slots=True)
class Function:
    """A function: its selector (4 bytes), the ABI types of its arguments and results."""

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its name, first topic (32 bytes), and (name, type) of indexed and of plain arguments."""

    name: str
    topic: bytes
    indexed: tuple[tuple[str, str], ...]
    plain: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Error:
    """A custom error: its name and its arguments' names and types."""

    name: str
    names: tuple[str, ...]
    types: tuple[str, ...]


def encode_call(contract: str, function: str, *arguments: object) -> bytes:
    """Encode a call's data: selector and arguments (structs as tuples, addresses as bytes)."""
    known = _functions(contract)[function]
    return known.selector + encode(known.inputs, arguments)


def decode_result(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    """Decode what a call returned."""
    kinds = _functions(contract)[function].outputs
    return plain_values(kinds, decode(kinds, data))


def encode_constructor(contract: str, *arguments: object) -> bytes:
    """Encode creation code with the constructor's arguments: the data of a deployment."""
    artifact = contracts.load(contract)
    for entry in artifact.abi:
        if entry["type"] == "constructor":
            return artifact.bytecode + encode(_types(entry["inputs"]), arguments)
    return artifact.bytecode


def decode_log(topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]] | None:
    """Decode a log of PaymentChannels into the event's name and arguments; None for an unknown event."""
    event = _events().get(topics[0]) if topics else None
    if event is None or len(topics) != 1 + len(event.indexed):
        return None
    names = [name for name, _ in (*event.indexed, *event.plain)]
    kinds = [kind for _, kind in (*event.indexed, *event.plain)]
    values = [decode([kind], topic)[0] for (_, kind), topic in zip(event.indexed, topics[1:], strict=True)]
    values += decode([kind for _, kind in event.plain], data)
    arguments = dict(zip(names, plain_values(kinds, values), strict=True))
    return event.name, arguments


@cache
def error_table() -> dict[bytes, Error]:
    """List the custom errors of our contracts and of OpenZeppelin's in them, by selector."""
    return {
        _hash(entry)[:4]: Error(
            entry["name"], tuple(part["name"] for part in entry["inputs"]), _types(entry["inputs"])
        )
        for contract in (CHANNELS, TOKEN)
        for entry in contracts.load(contract).abi
        if entry["type"] == "error"
    }


def plain_values(kinds: Sequence[str], values: Sequence[Any]) -> tuple[Any, ...]:
    """Turn decoded hex addresses into bytes; other values are as Python knows them already."""
    pairs = zip(kinds, values, strict=True)
    return tuple(to_canonical_address(value) if kind == "address" else value for kind, value in pairs)


@cache
def _functions(contract: str) -> dict[str, Function]:
    return {
        entry["name"]: Function(_hash(entry)[:4], _types(entry["inputs"]), _types(entry["outputs"]))
        for entry in contracts.load(contract).abi
        if entry["type"] == "function"
    }


@cache
def _events() -> dict[bytes, Event]:
    return {
        _hash(entry): Event(
            entry["name"],
            _hash(entry),
            tuple((part["name"], part["type"]) for part in entry["inputs"] if part["indexed"]),
            tuple((part["name"], part["type"]) for part in entry["inputs"] if not part["indexed"]),
        )
        for entry in contracts.load(CHANNELS).abi
        if entry["type"] == "event"
    }


def _hash(entry: dict[str, Any]) -> bytes:
    """Keccak of the canonical signature: an event's topic; its first four bytes are a selector."""
    return keccak(abi_to_signature(cast(ABIElement, entry)).encode())


def _types(parts: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(collapse_if_tuple(part) for part in parts)
