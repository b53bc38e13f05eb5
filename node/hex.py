"""Hex as the edge speaks it: 0x and two digits a byte, written in lower case and read in either."""


def to_hex(value: bytes) -> str:
    """Write bytes as 0x-hex."""
    return "0x" + value.hex()


def from_hex(text: object, least: int, most: int | None = None) -> bytes:
    """Read 0x-hex of `least` to `most` bytes (exactly `least` without `most`); else ValueError."""
    most = least if most is None else most
    if isinstance(text, str) and text[:2] == "0x" and 2 * least <= len(text) - 2 <= 2 * most:
        try:
            value = bytes.fromhex(text[2:])
        except ValueError:
            value = b""
        if 2 * len(value) == len(text) - 2:  # fromhex skips white space
            return value
    size = str(least) if least == most else f"{least} to {most}"
    raise ValueError(f"not 0x and the hex digits of {size} bytes")
