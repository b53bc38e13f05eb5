"""The same story with real farmer processes, ended by SIGKILL, on a real local node."""

from collections.abc import Callable
from typing import Any

import pytest

Tell = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("chain", "farmers", "options"),
    [("anvil", 12, ()), ("ganache", 6, ("--farmers", "6", "--k", "2", "--n", "6"))],
)
def test_demo_with_farmer_processes(tell: Tell, chain: str, farmers: int, options: tuple[str, ...]) -> None:
    story = tell("--chain", chain, *options, timeout=420)
    assert story["chain"] == chain
    assert story["farmers"] == farmers
    assert story["retrieved_sha256"] == story["file"]["sha256"]
    assert story["audits"]["passed"] > 0
    assert story["audits"]["failed"] >= 1
    assert story["audits"]["offline"] >= 1
    balances = story["balances"]
    assert story["conserved"] is True
    spent = int(balances["renter_before"]) - int(balances["renter_after"])
    assert spent == int(balances["farmers_earned"]) == int(story["vouchers"]["claimed_total"])
