"""The error tree: codes, values that fit JSON, sentences that fit a line."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from node import errors
from node.errors import CannotCheck, CheckFailed, HomeError, NodeError, OwnFault, PeerFault, PriceTooLow

BRANCHES = (PeerFault, OwnFault, CannotCheck, CheckFailed, HomeError)
SAMPLES: dict[object, Any] = {
    bytes: bytes(range(32)),
    bytes | None: None,
    int: 2**70,
    int | None: None,
    str: "word",
    Path: Path("/some/where"),
    tuple[int, ...]: (1, 2),
}


def descendants(kind: type[NodeError]) -> Iterator[type[NodeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


LEAVES = sorted(
    (
        kind
        for kind in descendants(NodeError)
        if is_dataclass(kind) and kind.__module__.startswith("node.errors.")
    ),
    key=lambda kind: kind.__name__,
)


def make(kind: type[NodeError]) -> NodeError:
    hints = get_type_hints(kind)
    assert is_dataclass(kind)
    made = kind(*(SAMPLES[hints[field.name]] for field in fields(kind)))
    assert isinstance(made, NodeError)
    return made


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_each_error_has_a_branch_a_code_a_sentence_and_plain_values(kind: type[NodeError]) -> None:
    error = make(kind)
    assert sum(isinstance(error, branch) for branch in BRANCHES) == 1
    assert re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", error.code)
    assert error.code.replace("_", "").lower() == kind.__name__.lower()
    assert str(error).isprintable()
    assert str(error) == str(error).strip()
    assert kind.__doc__
    assert json.loads(json.dumps(error.detail)) == error.detail
    assert not {"signature", "secret", "seed", "key", "passphrase"} & set(error.detail)


def test_codes_are_unique_and_all_errors_are_exported() -> None:
    assert len({kind.code for kind in LEAVES}) == len(LEAVES)
    assert {kind.__name__ for kind in LEAVES} <= set(errors.__all__)


def test_values_are_attributes_and_detail_puts_them_into_json() -> None:
    error = PriceTooLow("step", 1, 2**70)
    assert (error.price, error.quoted, error.code) == (1, 2**70, "PRICE_TOO_LOW")
    assert error.detail == {"field": "step", "price": 1, "quoted": str(2**70)}
    assert str(error) == f"the step of 1 base units is below the quoted {2**70}"


def test_ids_are_shortened_in_sentences_only() -> None:
    error = errors.WrongFarmer(b"\xab" * 32, b"\xcd" * 32)
    assert "0x" + "ab" * 8 + "…" in str(error)
    assert error.detail["farmer"] == "0x" + "ab" * 32
    assert errors.short(b"\x01\x02") == "0x0102"
