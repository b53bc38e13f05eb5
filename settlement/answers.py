"""What a node answers, as values: blocks, logs, receipts, and how they are read from JSON.

Readers raise KeyError, TypeError, ValueError or AttributeError for what does not fit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from payments.eip712 import keccak
from payments.types import Address, Timestamp

BLOOM_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header, as far as we need it. Hashes 32 bytes; `base_fee` in wei, None before EIP-1559.

    `bloom`: the filter of its logs (256 bytes), empty where the node does not tell.
    """

    number: int
    hash: bytes
    parent: bytes
    timestamp: Timestamp
    base_fee: int | None
    bloom: bytes = b""


@dataclass(frozen=True, slots=True)
class Log:
    """One log entry and its place in the chain."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction: bytes
    index: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction in a block, as far as we need it. `to` None: it created a contract."""

    hash: bytes
    sender: Address
    nonce: int
    to: Address | None
    data: bytes
    value: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction. `fee` is wei paid for the gas."""

    transaction: bytes
    succeeded: bool
    block_number: int
    block_hash: bytes
    gas_used: int
    fee: int
    contract: Address | None
    logs: tuple[Log, ...]


def may_hold(bloom: bytes, item: bytes) -> bool:
    """Whether a block's filter allows for logs with this address or topic (Yellow Paper, 4.3.1).

    False is certain, True is not. A filter that is not known allows for all.
    """
    if not bloom:
        return True
    digest, bits = keccak(item), int.from_bytes(bloom)
    return all(bits >> (int.from_bytes(digest[at : at + 2]) % (8 * BLOOM_BYTES)) & 1 for at in (0, 2, 4))


def read_integer(value: Any) -> int:  # noqa: ANN401 - JSON
    """A quantity."""
    return value if isinstance(value, int) else int(value, 16)


def read_data(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """Bytes."""
    return bytes(value) if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))


def read_block(found: Mapping[str, Any] | None) -> Block | None:
    """A header; None for none."""
    if found is None:
        return None
    base_fee = found.get("baseFeePerGas")
    return Block(
        number=read_integer(found["number"]),
        hash=read_data(found["hash"]),
        parent=read_data(found["parentHash"]),
        timestamp=Timestamp(read_integer(found["timestamp"])),
        base_fee=None if base_fee is None else read_integer(base_fee),
        bloom=_bloom(found.get("logsBloom", "")),
    )


def _bloom(value: Any) -> bytes:  # noqa: ANN401 - JSON
    return value.to_bytes(BLOOM_BYTES) if isinstance(value, int) else read_data(value)


def read_sent(found: Mapping[str, Any] | None) -> tuple[Sent, ...]:
    """Read the transactions of a block that was asked for whole."""
    return () if found is None else tuple(map(_sent, found["transactions"]))


def _sent(entry: Mapping[str, Any]) -> Sent:
    to = entry.get("to")
    return Sent(
        hash=read_data(entry["hash"]),
        sender=Address(read_data(entry["from"])),
        nonce=read_integer(entry["nonce"]),
        to=Address(read_data(to)) if to else None,
        data=read_data(entry["input"] if "input" in entry else entry["data"]),
        value=read_integer(entry["value"]),
    )


def read_receipt(found: Mapping[str, Any] | None) -> Receipt | None:
    """A receipt; None for none."""
    if found is None:
        return None
    gas_used = read_integer(found["gasUsed"])
    created = found.get("contractAddress")
    return Receipt(
        transaction=read_data(found["transactionHash"]),
        succeeded=read_integer(found["status"]) == 1,
        block_number=read_integer(found["blockNumber"]),
        block_hash=read_data(found["blockHash"]),
        gas_used=gas_used,
        fee=gas_used * read_integer(found.get("effectiveGasPrice", 0)),
        contract=Address(read_data(created)) if created else None,
        logs=tuple(read_logs(found["logs"])),
    )


def read_run(blocks: Iterable[Mapping[str, Any]]) -> int | None:
    """Gas used by the only call of a simulation; None where it fails."""
    ((run,),) = (block["calls"] for block in blocks)
    return read_integer(run["gasUsed"]) if read_integer(run["status"]) == 1 else None


def read_logs(entries: Iterable[Mapping[str, Any]]) -> list[Log]:
    """Log entries, in the order of the chain."""
    return sorted(map(_log, entries), key=lambda log: (log.block_number, log.index))


def _log(entry: Mapping[str, Any]) -> Log:
    return Log(
        address=Address(read_data(entry["address"])),
        topics=tuple(read_data(topic) for topic in entry["topics"]),
        data=read_data(entry["data"]),
        block_number=read_integer(entry["blockNumber"]),
        block_hash=read_data(entry["blockHash"]),
        transaction=read_data(entry["transactionHash"]),
        index=read_integer(entry["logIndex"]),
    )
