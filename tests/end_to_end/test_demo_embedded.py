"""The whole story on the embedded chain: store, audit, pay, lose farmers, read back, claim, withdraw."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tell = Callable[..., dict[str, Any]]

CLAIM_GAS = 80_000
"""More than one claim of one channel takes, less than two: every farmer claims once, when told to."""


def check_money(story: dict[str, Any]) -> None:
    """Every token the renter no longer has is with a farmer, and every farmer's token had a voucher."""
    balances, vouchers = story["balances"], story["vouchers"]
    earned = int(balances["farmers_earned"])
    assert story["conserved"] is True
    assert int(balances["renter_before"]) - int(balances["renter_after"]) == earned
    assert earned == int(vouchers["claimed_total"])
    assert earned <= int(vouchers["signed_total"])
    assert earned > 0


@pytest.mark.parametrize("size", [0, 1, 200_000])
def test_demo_returns_the_file_and_accounts_for_every_token(tell: Tell, tmp_path: Path, size: int) -> None:
    file = tmp_path / "story.bin"
    file.write_bytes(hashlib.shake_256(b"tithebarn").digest(size))
    story = tell(str(file), "--segment-size", "65536")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert story["chain"] == "embedded"
    assert (story["farmers"], story["k"], story["n"]) == (12, 4, 12)
    assert story["file"] == {"name": "story.bin", "bytes": size, "sha256": digest}
    assert story["retrieved_sha256"] == digest
    assert story["audits"]["passed"] > 0
    assert story["audits"]["failed"] >= 1
    assert story["audits"]["offline"] >= 1
    check_money(story)
    assert all(story["gas"][part] > 0 for part in ("fund", "claim", "withdraw"))
    assert story["gas"]["claim"] < 12 * CLAIM_GAS


def test_demo_with_other_shape_keeps_its_promises(tell: Tell) -> None:
    story = tell("--farmers", "7", "--k", "2", "--n", "6", "--rounds", "4")
    assert (story["farmers"], story["k"], story["n"]) == (7, 2, 6)
    assert story["retrieved_sha256"] == story["file"]["sha256"]
    check_money(story)


def test_demo_refuses_a_shape_that_cannot_be(tell: Tell, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="exit 2"):
        tell("--k", "5", "--n", "4")
    with pytest.raises(AssertionError, match="exit 2"):
        tell("--segment-size", "1023")
    with pytest.raises(AssertionError, match="exit 2"):
        tell("--segment-size", "65MiB")
    with pytest.raises(AssertionError, match="exit 2"):
        tell(str(tmp_path / "no such file"))
    with pytest.raises(AssertionError, match="exit 2"):
        tell("/dev/null")
