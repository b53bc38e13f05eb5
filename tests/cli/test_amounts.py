from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cli.amounts import (
    duration,
    exact_tokens,
    parse_duration,
    parse_number,
    parse_range,
    parse_size,
    share,
    size,
    to_base_units,
    tokens,
)
from node.cli.errors import BadAmount, BadDuration, BadRange, BadSize, TooFineAmount, TooLargeAmount
from payments.types import MAX_AMOUNT


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("12.5", 18, 12_500_000_000_000_000_000),
        ("0", 18, 0),
        ("0.000001", 6, 1),
        ("1.50", 2, 150),
        ("1.500", 1, 15),
        ("7", 0, 7),
        ("007", 0, 7),
        (exact_tokens(MAX_AMOUNT, 18), 18, MAX_AMOUNT),
    ],
)
def test_amounts_scale_exactly(text: str, decimals: int, units: int) -> None:
    assert to_base_units(parse_number(text), decimals) == units


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+1",
        "1e3",
        "1,5",
        "1.",
        ".5",
        "NaN",
        "inf",
        "0x10",
        " 1",
        "1 ",
        "\N{ARABIC-INDIC DIGIT ONE}",
        "1" * 41,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_number(text)


def test_amount_is_never_rounded() -> None:
    with pytest.raises(TooFineAmount) as caught:
        to_base_units(Decimal("0.0000001"), 6)
    assert str(caught.value) == "0.0000001 is finer than the token, which has 6 digits after the point"


def test_amount_above_the_contract_is_refused() -> None:
    with pytest.raises(TooLargeAmount):
        to_base_units(parse_number("79228162514.264337593543950336"), 18)


@given(st.integers(0, MAX_AMOUNT), st.integers(0, 20))
def test_every_amount_survives_being_written(amount: int, decimals: int) -> None:
    assert to_base_units(parse_number(exact_tokens(amount, decimals)), decimals) == amount


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0 TBT"),
        (12_500_000_000_000_000_000, "12.5 TBT"),
        (1_234_567 * 10**18, "1,234,567 TBT"),
        (1_000_000_123_456_789_012, "~1 TBT"),
        (1_234_567_890_123_456_789, "~1.234567 TBT"),
        (123_456_789, "~0.0000000001234 TBT"),
        (1, "0.000000000000000001 TBT"),
        (-500_000_000_000_000_000, "-0.5 TBT"),
    ],
)
def test_amounts_read_well(amount: int, shown: str) -> None:
    assert tokens(amount, 18, "TBT") == shown


@given(st.integers(1, MAX_AMOUNT))
def test_no_amount_reads_as_nothing(amount: int) -> None:
    assert any(digit in tokens(amount, 18) for digit in "123456789")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("12h", 43_200), ("1.5h", 5_400), ("90s", 90), ("2w", 1_209_600), ("15 m", 900)],
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "0d", "-1d", "1y", "0.1s", "1e3d", "40000d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadDuration):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (93_784, "1d 2h"), (2_592_000, "30d"), (-60, "-1m")],
)
def test_durations_are_written(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("17", 17),
        ("10GB", 10**10),
        ("1.5 MB", 1_500_000),
        ("64MiB", 2**26),
        ("500kB", 500_000),
        ("3B", 3),
    ],
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1", "10gb", "10 G", "1e9", "ten"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadSize):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (2_310_000, "2.31 MB"),
        (999_999, "1 MB"),
        (10**12, "1 TB"),
        (10**19, "10000 PB"),
    ],
)
def test_sizes_are_written(count: int, shown: str) -> None:
    assert size(count) == shown


def test_share_of_nothing_is_nothing() -> None:
    assert share(1, 0) == "-"
    assert share(1, 8) == "12.50 %"


@pytest.mark.parametrize(
    ("text", "size", "found"),
    [
        ("0-0", 10, (0, 1)),
        ("2-5", 10, (2, 4)),
        ("5-", 10, (5, 5)),
        ("-3", 10, (7, 3)),
        ("-30", 10, (0, 10)),
        ("2-50", 10, (2, 8)),
        ("10-", 10, (10, 0)),
        ("0-", 0, (0, 0)),
        ("11-", 10, (11, 0)),
    ],
)
def test_ranges_are_those_of_curl(text: str, size: int, found: tuple[int, int]) -> None:
    assert parse_range(text).within(size) == found


@pytest.mark.parametrize(
    "text", ["", "-", "5", "5-4", "-0", "a-b", "0-1,3-4", "--1", "1 - 2", "٣-٤", "9" * 19 + "-"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(BadRange):
        parse_range(text)
