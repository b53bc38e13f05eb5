"""Node records: signed, bounded, and believed until they expire."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.identity import NodeKey
from node.node_record import (
    MAX_RECORD_LIFETIME,
    NodeRecord,
    SignedRecord,
    good_url,
    sign_record,
    verify_record,
)
from payments.types import Address, Timestamp
from tests.node.support import DAY, FARMER, NOW, STRANGER

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "identity.json").read_text())


RECORD = NodeRecord(
    node=FARMER.node,
    payee=Address(b"\x44" * 20),
    urls=("http://127.0.0.1:4321", "https://farm.example/tithe"),
    sequence=7,
    expires_at=Timestamp(NOW + DAY),
)


def test_a_signed_record_is_believed() -> None:
    assert verify_record(sign_record(RECORD, FARMER), NOW) == RECORD


@pytest.mark.parametrize("vector", VECTORS["records"], ids=lambda vector: str(vector["urls"]))
def test_record_signatures_are_those_of_the_committed_vectors(vector: dict[str, Any]) -> None:
    key = NodeKey(bytes.fromhex(vector["seed"]))
    record = NodeRecord(
        node=key.node,
        payee=Address(bytes.fromhex(vector["payee"])),
        urls=tuple(vector["urls"]),
        sequence=vector["sequence"],
        expires_at=vector["expires_at"],
        quote_path=vector["quote_path"],
    )
    assert sign_record(record, key).signature.hex() == vector["signature"]


@pytest.mark.parametrize(
    "change",
    [
        {"node": STRANGER.node},
        {"payee": Address(bytes(20))},
        {"urls": ("http://127.0.0.1:4321",)},
        {"urls": ("http://127.0.0.1:4321", "https://farm.example/tith")},
        {"sequence": 8},
        {"expires_at": NOW + DAY + 1},
        {"quote_path": "/v1/other"},
    ],
    ids=str,
)
def test_a_changed_record_is_forged(change: dict[str, Any]) -> None:
    signed = sign_record(RECORD, FARMER)
    with pytest.raises(errors.ForgedRecord):
        verify_record(SignedRecord(replace(RECORD, **change), signed.signature), NOW)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"expires_at": NOW}, errors.ExpiredRecord),
        ({"expires_at": NOW + MAX_RECORD_LIFETIME + 1}, errors.RecordOutOfBounds),
        ({"urls": ()}, errors.RecordOutOfBounds),
        ({"urls": ("http://a.example",) * 5}, errors.RecordOutOfBounds),
        ({"urls": ("ftp://a.example",)}, errors.RecordOutOfBounds),
        ({"quote_path": "v1"}, errors.RecordOutOfBounds),
        ({"quote_path": ""}, errors.RecordOutOfBounds),
    ],
    ids=str,
)
def test_a_record_out_of_bounds_is_refused_though_signed(
    change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        verify_record(sign_record(replace(RECORD, **change), FARMER), NOW)


@pytest.mark.parametrize("sequence", [-1, 2**63, 2**70])
def test_a_sequence_out_of_bounds_is_refused(sequence: int) -> None:
    signed = sign_record(RECORD, FARMER)
    with pytest.raises(errors.RecordOutOfBounds):
        verify_record(replace(signed, record=replace(RECORD, sequence=sequence)), NOW)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://127.0.0.1:4321", True),
        ("https://farm.example", True),
        ("https://farm.example/base/", True),
        ("http://[::1]:80", True),
        ("http://", False),
        ("http://:80", False),
        ("farm.example", False),
        ("file:///etc/passwd", False),
        ("http://user:secret@farm.example", False),
        ("http://farm.example?x=1", False),
        ("http://farm.example#x", False),
        ("http://farm.example/a b", False),
        ("http://farm.example\n", False),
        ("http://färm.example", False),
        ("http://farm.example:99999", False),
        ("http://farm.example:x", False),
        ("http://[::1", False),
        ("http://" + "a" * 200, False),
        ("", False),
    ],
)
def test_only_plain_base_urls_are_good(url: str, good: bool) -> None:
    assert good_url(url) is good


@given(st.text(max_size=210))
def test_no_text_upsets_the_check_of_urls(url: str) -> None:
    for text in (url, "http://" + url):
        assert good_url(text) in (True, False)


def test_a_refusal_is_the_peers_fault() -> None:
    with pytest.raises(errors.PeerFault) as caught:
        verify_record(sign_record(replace(RECORD, urls=()), FARMER), NOW)
    json.dumps(caught.value.detail)
