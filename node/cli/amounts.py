"""What people type and read, between decimal text and the integers of the protocol. Pure.

tokens      12.5        exact: more digits than the token has is an error, never a rounding
durations   90s 15m 12h 30d 2w
sizes       500kB 10GB 64MiB      (kB = 1000 bytes, KiB = 1024)
ranges      0-499 500- -500       (as HTTP and curl have them: the last byte is read too)
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from node.cli.errors import BadAmount, BadDuration, BadRange, BadSize, TooFineAmount, TooLargeAmount
from payments.types import MAX_AMOUNT, Amount, Seconds

if TYPE_CHECKING:
    from settlement.client import TokenInfo

ETHER_DECIMALS = 18
_NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")
_MEASURE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_RANGE = re.compile(r"([0-9]{0,18})-([0-9]{0,18})")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("k", "M", "G", "T"), 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), 1)},
}
_LONGEST = 100 * 365 * 86_400
_KILO = 1000
_SHOWN_DIGITS = 6
_SHOWN_BELOW_ONE = 4


def parse_number(text: str) -> Decimal:
    """Read an amount of tokens as typed: digits, perhaps a point and digits. Raises BadAmount."""
    if not _NUMBER.fullmatch(text):
        raise BadAmount(text)
    return Decimal(text)


def to_base_units(number: Decimal, decimals: int) -> Amount:
    """Scale tokens to base units. Raises TooFineAmount, and TooLargeAmount above the contract's uint96."""
    sign, digits, exponent = number.as_tuple()
    if sign or not isinstance(exponent, int):
        raise BadAmount(str(number))
    value = int("".join(map(str, digits)))
    shift = exponent + decimals
    if shift < 0:
        value, lost = divmod(value, 10**-shift)
        if lost:
            raise TooFineAmount(f"{number:f}", decimals)
    else:
        value *= 10**shift
    if value > MAX_AMOUNT:
        raise TooLargeAmount(f"{number:f}")
    return Amount(value)


def check_amounts(*texts: str | None) -> None:
    """Refuse what is no amount before anything else is done. Raises BadAmount."""
    for text in texts:
        if text is not None:
            parse_number(text)


def typed_amounts(decimals: int, **texts: str | None) -> dict[str, Amount]:
    """Read those that were typed, in base units. Raises BadAmount, TooFineAmount, TooLargeAmount."""
    return {
        name: to_base_units(parse_number(text), decimals) for name, text in texts.items() if text is not None
    }


def exact_tokens(amount: int, decimals: int) -> str:
    """Write base units as tokens, every digit kept: 12500000 -> 12.5 (6 decimals)."""
    whole, rest = divmod(abs(amount), 10**decimals)
    digits = f"{rest:0{decimals}d}".rstrip("0") if decimals else ""
    return ("-" if amount < 0 else "") + f"{whole}" + (f".{digits}" if digits else "")


def tokens(amount: int, decimals: int, symbol: str = "") -> str:
    """Write base units for reading: thousands apart, six digits after the point, `~` where inexact.

    What is small keeps its first four digits that say something, so that no price reads as zero.
    """
    whole, _, digits = exact_tokens(amount, decimals).partition(".")
    keep = _SHOWN_DIGITS
    if whole in ("0", "-0"):
        keep = max(keep, len(digits) - len(digits.lstrip("0")) + _SHOWN_BELOW_ONE)
    shown = digits[:keep].rstrip("0")
    number = f"{int(whole):,}" if whole != "-0" else "-0"
    return (
        ("~" if shown != digits else "")
        + number
        + (f".{shown}" if shown else "")
        + (f" {symbol}" if symbol else "")
    )


def coins(amount: int, token: "TokenInfo | None") -> str:
    """Write base units as `tokens` does, the token named; as base units where no token is known."""
    return tokens(amount, token.decimals, token.symbol) if token else f"{amount} base units"


def cell(amount: int, token: "TokenInfo | None") -> str:
    """Write base units as a table does: as `tokens`, exact or not; as base units where no token is known."""
    return tokens(amount, token.decimals).removeprefix("~") if token else str(amount)


def counted(count: int, noun: str) -> str:
    """Write a number of things: 1 shard, 2 shards."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def parse_duration(text: str) -> Seconds:
    """Read `30d`, `1.5h`: a number and one of s m h d w, at most 100 years. Raises BadDuration."""
    match = _MEASURE.fullmatch(text.strip())
    unit = _SECONDS.get(match[2]) if match else None
    if match is None or unit is None:
        raise BadDuration(text)
    seconds = int(Decimal(match[1]) * unit)
    if not 0 < seconds <= _LONGEST:
        raise BadDuration(text)
    return Seconds(seconds)


def duration(seconds: int) -> str:
    """Write seconds in the two largest units that say something: 93784 -> 1d 2h."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        count, seconds = divmod(seconds, _SECONDS[unit])
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def parse_size(text: str) -> int:
    """Read `500kB`, `10GB`, `64MiB`, or a plain number of bytes. Raises BadSize."""
    match = _MEASURE.fullmatch(text.strip())
    unit = _BYTES.get(match[2]) if match else None
    if match is None or unit is None:
        raise BadSize(text)
    return int(Decimal(match[1]) * unit)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both read; without a first the last so many; without a last to the end."""

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Return offset and length in a file of `size` bytes; what lies beyond its end is left out."""
        if self.first is None:
            count = min(self.last or 0, size)
            return size - count, count
        stop = size if self.last is None else min(self.last + 1, size)
        return self.first, max(0, stop - self.first)


def parse_range(text: str) -> ByteRange:
    """Read `0-499`, `500-`, `-500`. Raises BadRange."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        raise BadRange(text)
    first, last = (int(one) if one else None for one in match.groups())
    if (first is None and not last) or (first is not None and last is not None and last < first):
        raise BadRange(text)
    return ByteRange(first, last)


def size(count: int) -> str:
    """Write bytes in the unit that leaves one to three digits before the point: 2310000 -> 2.31 MB."""
    if count < _KILO:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= _KILO
        if round(value, 2) < _KILO or unit == "PB":
            return f"{value:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    raise AssertionError


def moment(timestamp: int) -> str:
    """Write a unix time as people do, in their own zone: 2026-05-01 14:03."""
    return datetime.fromtimestamp(timestamp, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def share(part: int, whole: int) -> str:
    """Write part of whole in per cent; of nothing it is nothing."""
    return f"{100 * part / whole:.2f} %" if whole else "-"
