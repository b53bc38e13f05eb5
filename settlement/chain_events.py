"""What PaymentChannels says in its logs, as facts about single channels.

A call over many rows writes one log; here it becomes one fact a row. Ids of funded and pushed rows are
computed from their terms, as nothing else names them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from payments.eip712 import Domain
from payments.types import ZERO32, Address, Amount, ChannelId, Seconds, Timestamp
from payments.vouchers import Terms, channel_id
from settlement.abi import decode_log
from settlement.rpc import Log

ADDRESS_BYTES: Final = 20
AMOUNT_BITS: Final = 96
PERIOD_BITS: Final = 32
NO_FEE: Final = Amount(0)


class Reason(IntEnum):
    """Why the contract skipped a row: its enum of the same name."""

    NONE = 0
    ZERO_PAYEE = 1
    CLOSING = 2
    STALE = 3
    EMPTY = 4
    BAD_SIGNATURE = 5
    TRANSFER_FAILED = 6
    NOT_CLOSING = 7
    TOO_EARLY = 8
    BAD_PROOF = 9
    FEE_TOO_HIGH = 10
    FEE_EXPIRED = 11
    FEE_UNSIGNED = 12
    TOO_LARGE = 254
    """None of the contract's: no transaction can carry the row."""
    UNKNOWN = 255
    """A reason newer than this program."""

    @classmethod
    def _missing_(cls, value: object) -> "Reason":  # noqa: ARG003 - given by enum
        return cls.UNKNOWN


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fact stands: block and transaction. Hashes 32 bytes."""

    block_number: int
    block_hash: bytes
    transaction: bytes


@dataclass(frozen=True, slots=True)
class ChannelFunded:
    """The channel's deposit after a `fund` call."""

    place: Place
    channel_id: ChannelId
    terms: Terms
    deposit: Amount


@dataclass(frozen=True, slots=True)
class ChannelClaimed:
    """The channel's paid-out total after a claim or push."""

    place: Place
    channel_id: ChannelId
    claimed: Amount
    fee: Amount = NO_FEE
    """What a relayer kept of it."""


@dataclass(frozen=True, slots=True)
class ChannelCloseRequested:
    """The payer may withdraw from chain time `closes_at` on."""

    place: Place
    channel_id: ChannelId
    closes_at: Timestamp


@dataclass(frozen=True, slots=True)
class ChannelWithdrawn:
    """The payer took `amount` back; the channel is spent."""

    place: Place
    channel_id: ChannelId
    amount: Amount


@dataclass(frozen=True, slots=True)
class RowSkipped:
    """A row of a call was skipped; its channel is as it was."""

    place: Place
    channel_id: ChannelId
    reason: Reason


ChainEvent = ChannelFunded | ChannelClaimed | ChannelCloseRequested | ChannelWithdrawn | RowSkipped


def read_events(domain: Domain, logs: Iterable[Log]) -> tuple[ChainEvent, ...]:
    """Turn logs into facts, in their order. Logs of other contracts and unknown events are left out."""
    found: list[ChainEvent] = []
    for log in logs:
        decoded = decode_log(log.topics, log.data) if log.address == domain.contract else None
        if decoded is not None:
            place = Place(log.block_number, log.block_hash, log.transaction)
            found += _read(domain, place, *decoded)
    return tuple(found)


def row(payee: Address, total: Amount) -> bytes:
    """Pack a row: payee and total in one word."""
    return payee + total.to_bytes(12, "big")


def key(signer: Address, challenge_period: Seconds) -> bytes:
    """Pack a key: signer, eight bytes of nothing and challenge period in one word."""
    return signer + challenge_period.to_bytes(12, "big")


def _read(domain: Domain, place: Place, name: str, given: dict[str, Any]) -> Iterator[ChainEvent]:
    match name:
        case "Funded" | "FundedOne":
            for terms, deposit in _rows(given):
                yield ChannelFunded(place, channel_id(domain, terms), terms, deposit)
        case "Pushed":
            for terms, claimed in _rows(given):
                yield ChannelClaimed(place, channel_id(domain, terms), claimed)
        case "ClaimedMany" | "Relayed":
            for claimed_id, word in zip(given["rows"][::2], given["rows"][1::2], strict=True):
                if claimed_id != ZERO32:
                    fee, total = divmod(int.from_bytes(word), 2**AMOUNT_BITS)
                    yield ChannelClaimed(place, ChannelId(claimed_id), Amount(total), Amount(fee))
        case _ if name in _SINGLE:
            yield _SINGLE[name](place, given)


_SINGLE: Final[dict[str, Callable[[Place, dict[str, Any]], ChainEvent]]] = {
    "Claimed": lambda place, given: ChannelClaimed(place, given["channelId"], Amount(given["claimed"])),
    "CloseRequested": lambda place, given: ChannelCloseRequested(
        place, given["channelId"], Timestamp(given["closesAt"])
    ),
    "Withdrawn": lambda place, given: ChannelWithdrawn(place, given["channelId"], Amount(given["amount"])),
    "Skipped": lambda place, given: RowSkipped(place, given["channelId"], Reason(given["reason"])),
}
"""Events of one channel."""


def _rows(given: dict[str, Any]) -> Iterator[tuple[Terms, Amount]]:
    one = "row" in given
    signer, period = _unpack(given["key"]) if one else (given["signer"], given["challengePeriod"])
    period &= 2**PERIOD_BITS - 1  # the contract overlooks what else a key holds
    for word in [given["row"]] if one else given["rows"]:
        payee, total = _unpack(word)
        terms = Terms(
            payer=given["payer"],
            signer=signer,
            payee=payee,
            token=given["token"],
            challenge_period=Seconds(period),
            salt=given["salt"],
        )
        yield terms, Amount(total)


def _unpack(word: bytes) -> tuple[Address, int]:
    return Address(word[:ADDRESS_BYTES]), int.from_bytes(word[ADDRESS_BYTES:])
