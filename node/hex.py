"""Hex as the edge speaks it: 0x and two digits a byte, written in lower case and read in either."""

import re

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


def to_hex(value: bytes) -> str:
    """Write bytes as 0x-hex."""
    return "0x" + value.hex()


def from_hex(text: object, least: int, most: int | None = None) -> bytes:
    """Read 0x-hex of `least` to `most` bytes (exactly `least` without `most`); else ValueError."""
    most = least if most is None else most
    if (
        not isinstance(text, str)
        or not 2 + 2 * least <= len(text) <= 2 + 2 * most
        or not _HEX.fullmatch(text)
    ):
        size = str(least) if least == most else f"{least} to {most}"
        raise ValueError(f"not 0x and the hex digits of {size} bytes")
    return bytes.fromhex(text[2:])
