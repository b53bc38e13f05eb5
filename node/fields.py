"""The field types of messages: what may stand in a peer's JSON, bounded, and how it is written.

From JSON, bytes are accepted only as 0x-hex and amounts only as canonical decimal strings. Values made by our
own code enter as what they are in the core, bytes and integers.
"""

from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from node.hex import from_hex, to_hex
from node.merkle import LEAF_SIZE
from payments.types import MAX_AMOUNT

_AMOUNT_DIGITS: Final = len(str(MAX_AMOUNT))
_MAX_DEPTH: Final = 8
_MAX_REPEATS: Final = 1_000_000
"""Repetitions that a regular expression of JSON schema is asked to count."""
MAX_PROOF: Final = 127 * 1024
"""Bytes of a proof: no transaction takes more."""


def _read_amount(value: object, info: ValidationInfo) -> int:
    if info.mode == "python" and type(value) is int:
        value = str(value)
    if isinstance(value, str) and _is_decimal(value) and int(value) <= MAX_AMOUNT:
        return int(value)
    raise ValueError("not the decimal digits of an amount below 2**96")


def _is_decimal(text: str) -> bool:
    """Tell whether `text` is how a non-negative integer is written: digits alone, no zero in front."""
    digits = 0 < len(text) <= _AMOUNT_DIGITS and text.isascii() and text.isdigit()
    return digits and (text == "0" or text[0] != "0")


def _bytes(least: int, most: int) -> tuple[BeforeValidator, PlainSerializer, WithJsonSchema]:
    def read(value: object, info: ValidationInfo) -> bytes:
        if info.mode == "python" and isinstance(value, bytes) and least <= len(value) <= most:
            return value
        return from_hex(value, least, most)

    times = f"{{{least},{most}}}" if most <= _MAX_REPEATS else "+"
    pattern = f"^0x([0-9a-fA-F]{{2}}){times}$"
    return (
        BeforeValidator(read),
        PlainSerializer(to_hex, return_type=str),
        WithJsonSchema({"type": "string", "pattern": pattern}),
    )


def _check_sentence(text: str) -> str:
    if not text.isprintable():
        raise ValueError("not one line of printable text")
    return text


def _check_detail(detail: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if not _tame(detail, _MAX_DEPTH):
        raise ValueError("a number beyond 64 bits, or nested too deeply")
    return detail


def _tame(value: JsonValue, depth: int) -> bool:
    match value:
        case bool() | None | str():
            return True
        case int() | float():
            return -(2**64) < value < 2**64
        case list():
            return depth > 0 and all(_tame(item, depth - 1) for item in value)
        case dict():
            return depth > 0 and all(_tame(item, depth - 1) for item in value.values())


def _uint(bits: int) -> Any:  # noqa: ANN401 - what Field returns has no narrower type
    return Field(strict=True, ge=0, lt=1 << bits)


Bytes16 = Annotated[bytes, *_bytes(16, 16)]
Bytes20 = Annotated[bytes, *_bytes(20, 20)]
Bytes32 = Annotated[bytes, *_bytes(32, 32)]
Signature = Annotated[bytes, *_bytes(64, 64)]
Leaf = Annotated[bytes, *_bytes(1, LEAF_SIZE)]
"""A leaf of a shard: 1 to 1,024 bytes."""
MAX_SEALED: Final = 4 * 1024 * 1024
Sealed = Annotated[bytes, *_bytes(1, MAX_SEALED)]
"""Encrypted bytes that a farmer keeps for a renter, at most 4 MiB."""
PackedProof = Annotated[bytes, *_bytes(0, MAX_PROOF)]
"""A proof as the contract takes it, or nothing."""
AmountText = Annotated[
    int,
    BeforeValidator(_read_amount),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^(0|[1-9][0-9]{{0,{_AMOUNT_DIGITS - 1}}})$"}),
]
"""An amount in base units, a uint96, as a decimal string."""
Sentence = Annotated[str, Field(max_length=1000), AfterValidator(_check_sentence)]
"""One line that may be shown on a terminal as it is."""
Detail = Annotated[dict[str, JsonValue], AfterValidator(_check_detail)]
"""Values beside an error: any JSON with numbers of 64 bits, not deeply nested."""
Uint32 = Annotated[int, _uint(32)]
Uint63 = Annotated[int, _uint(63)]
"""What a database's signed integer of 64 bits can hold."""
Uint64 = Annotated[int, _uint(64)]
Uint256 = Annotated[int, _uint(256)]
