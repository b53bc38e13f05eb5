"""The plain values of the protocol: integers of base units and seconds, bytes of fixed length.

Checked once, where they enter (`to_amount`, `to_address`, `to_bytes32`); from there on the type says it.
Hex and decimals exist only in the CLI, the API and the web page.
"""

from typing import Final, NewType

from payments.errors import AmountOutOfRange, IntegerOutOfRange, WrongLength

Amount = NewType("Amount", int)
"""Base units of a token, a uint96."""
Address = NewType("Address", bytes)
"""20 bytes."""
ChannelId = NewType("ChannelId", bytes)
"""32 bytes: the EIP-712 hash of the channel's terms."""
NodeId = NewType("NodeId", bytes)
"""32 bytes: the node's Ed25519 public key."""
Timestamp = NewType("Timestamp", int)
"""Seconds since 1970 (UTC)."""
Seconds = NewType("Seconds", int)
"""A duration."""

_ADDRESS_BYTES: Final = 20
_WORD_BYTES: Final = 32

MAX_AMOUNT: Final = Amount(2**96 - 1)
ZERO32: Final = bytes(32)
ZERO_ADDRESS: Final = Address(bytes(20))
MB: Final = 10**6
GB: Final = 10**9
"""Bytes in the GB of every price."""
MIB: Final = 2**20
"""Bytes a renter pays ahead at most, in a read."""
MONTH: Final = Seconds(30 * 24 * 3600)
"""Seconds in the month of every price."""


def to_amount(value: int) -> Amount:
    """Check that `value` is a uint96 (AmountOutOfRange)."""
    if not 0 <= value <= MAX_AMOUNT:
        raise AmountOutOfRange(value)
    return Amount(value)


def to_uint(field: str, value: int, bits: int) -> int:
    """Check that `value` is a uint of `bits` (IntegerOutOfRange naming `field`)."""
    if not 0 <= value < 1 << bits:
        raise IntegerOutOfRange(field, value, bits)
    return value


def to_address(field: str, value: bytes) -> Address:
    """Check that `value` has 20 bytes (WrongLength naming `field`)."""
    if len(value) != _ADDRESS_BYTES:
        raise WrongLength(field, len(value), _ADDRESS_BYTES)
    return Address(value)


def to_bytes32(field: str, value: bytes) -> bytes:
    """Check that `value` has 32 bytes (WrongLength naming `field`)."""
    if len(value) != _WORD_BYTES:
        raise WrongLength(field, len(value), _WORD_BYTES)
    return value
