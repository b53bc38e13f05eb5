"""Addresses and ids as people type and read them. Pure.

Addresses carry EIP-55 letters when shown; when typed with mixed case the checksum must hold. An id of 32
bytes (node, channel, agreement) may be shortened to any beginning that fits one thing only.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from node.cli.errors import AmbiguousId, BadChecksum, BadHex, UnknownId
from payments.eip712 import keccak
from payments.types import Address

Id = TypeVar("Id", bound=bytes)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_ID = re.compile(r"(?:0x)?([0-9a-fA-F]{1,64})")


def show_address(address: bytes) -> str:
    """Write an address with its EIP-55 checksum."""
    digits = address.hex()
    letters = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(letter, 16) >= 8 else digit  # noqa: PLR2004 - EIP-55: the hash's high bit
        for digit, letter in zip(digits, letters, strict=False)
    )


def parse_address(text: str) -> Address:
    """Read an address. Raises BadHex, BadChecksum."""
    if not _ADDRESS.fullmatch(text):
        raise BadHex("address", text, 20)
    address = Address(bytes.fromhex(text[2:]))
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and show_address(address) != text:
        raise BadChecksum(text)
    return address


def find_id(what: str, text: str, known: Iterable[Id]) -> Id:
    """Find the one id that begins as typed. Raises BadHex, UnknownId, AmbiguousId."""
    match = _ID.fullmatch(text)
    if match is None:
        raise BadHex(what, text, 32)
    wanted = match[1].lower()
    fitting = [identifier for identifier in dict.fromkeys(known) if identifier.hex().startswith(wanted)]
    if not fitting:
        raise UnknownId(what, text)
    if len(fitting) > 1:
        raise AmbiguousId(what, text, len(fitting))
    return fitting[0]


def find_ids(what: str, texts: Sequence[str], known: Sequence[Id]) -> list[Id]:
    """Find several; none named means all of them."""
    return [find_id(what, text, known) for text in texts] if texts else list(known)
