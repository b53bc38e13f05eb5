"""What is no message: refused by one name, whatever it is."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audit import Challenge, Item
from node.errors import MalformedMessage
from node.messages import (
    AUDIT_LIMIT,
    CONTROL_LIMIT,
    MAX_ITEMS,
    SHELF_LIMIT,
    AgreementMessage,
    AuditAnswer,
    AuditRequest,
    Bounded,
    ChallengeMessage,
    ErrorBody,
    Mirror,
    ProofMessage,
    QuoteMessage,
    ReadShard,
    SignedVoucherMessage,
    dump,
    parse,
)
from tests.node.all_messages import CHALLENGE, CONDITIONAL, KINDS, MESSAGES, PAID, PROOF, amounts
from tests.node.support import (
    QUOTE,
    make_agreement,
    seeded,
)

each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)


def refused(kind: type[Bounded], body: bytes) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        parse(kind, body)
    assert caught.value.code == "MALFORMED_MESSAGE"
    assert caught.value.message == kind.__name__
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
    return caught.value


def changed(message: Bounded, path: tuple[str | int, ...], value: object) -> bytes:
    """The message's JSON with the value at `path` replaced."""
    tree = json.loads(dump(message))
    branch = tree
    for step in path[:-1]:
        branch = branch[step]
    branch[path[-1]] = value
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "amount",
    [
        5,
        5.0,
        True,
        None,
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "1.0",
        "1e3",
        "0x1",
        "1_000",
        "\u0661",
        "²",
        str(2**96),
        "9" * 30,
        "1" * 10_000,
        ["1"],
        {"1": 1},
    ],
    ids=lambda amount: repr(amount)[:20],
)
def test_an_amount_is_a_canonical_decimal_string(amount: object) -> None:
    refused(SignedVoucherMessage, changed(PAID, ("voucher", "cumulative_amount"), amount))


@pytest.mark.parametrize("amount", ["0", "1", str(2**96 - 1)])
def test_amounts_reach_from_nothing_to_a_uint96(amount: str) -> None:
    read = parse(SignedVoucherMessage, changed(PAID, ("voucher", "cumulative_amount"), amount))
    assert read.core().voucher.cumulative_amount == int(amount)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        "00" * 32,
        "0x" + "00" * 31,
        "0x" + "00" * 33,
        "0x" + "0" * 63,
        "0X" + "00" * 32,
        "0x" + "0g" * 32,
        "0x" + " 0" * 32,
        "0x" + "00" * 31 + "0\n",
        "0x" + "\u0660\u0660" * 32,
        0,
        None,
        True,
        [0] * 32,
    ],
    ids=lambda text: repr(text)[:20],
)
def test_bytes_are_hex_of_their_length(text: object) -> None:
    refused(SignedVoucherMessage, changed(PAID, ("voucher", "channel_id"), text))


def test_hex_is_read_in_either_case() -> None:
    upper = "0x" + seeded("channel").hex().upper()
    assert parse(SignedVoucherMessage, changed(PAID, ("voucher", "channel_id"), upper)) == PAID


@pytest.mark.parametrize(
    "number", [-1, 2**64, 1.5, 1.0, True, "1", None, [1], 10**400], ids=lambda number: repr(number)[:20]
)
def test_an_integer_is_a_number_of_its_width(number: object) -> None:
    message = AgreementMessage.of(make_agreement())
    refused(AgreementMessage, changed(message, ("shard_length",), number))


@pytest.mark.parametrize("length", [0, 2**20 + 1, -1, "1"])
def test_a_read_is_one_byte_to_one_mebibyte(length: object) -> None:
    refused(ReadShard, changed(ReadShard(offset=0, length=1, payment=PAID), ("length",), length))


@each_message
def test_unknown_and_missing_fields_are_refused(message: Bounded) -> None:
    kind, tree = type(message), json.loads(dump(message))
    refused(kind, json.dumps(tree | {"surplus": 1}).encode())
    for name in tree:
        error = refused(kind, json.dumps({key: tree[key] for key in tree if key != name}).encode())
        assert name in error.reason or "status" in error.reason


def test_lists_are_bounded() -> None:
    item = {"agreement": "0x" + "00" * 32, "data_root": "0x" + "00" * 32, "leaf_count": 9, "indices": [0]}
    message = ChallengeMessage.of(CHALLENGE)
    refused(ChallengeMessage, changed(message, ("items",), [item] * (MAX_ITEMS + 1)))
    refused(ChallengeMessage, changed(message, ("items", 0, "indices"), [0, 1, 2, 3, 4]))
    proof = ProofMessage.of(PROOF)
    refused(ProofMessage, changed(proof, ("items", 0, "paths", 0), ["0x" + "00" * 32] * 65))
    refused(ProofMessage, changed(proof, ("items", 0, "leaves", 0), "0x"))
    refused(ProofMessage, changed(proof, ("items", 0, "leaves", 0), "0x" + "00" * 1025))
    refused(AuditAnswer, b'{"status":"DECLINED","agreements":[]}')


def test_a_quote_that_contradicts_itself_is_refused() -> None:
    message = QuoteMessage.of(QUOTE)
    refused(QuoteMessage, changed(message, ("audit_interval",), 0))
    refused(QuoteMessage, changed(message, ("max_challenge_period",), 59))


def test_an_answer_is_one_of_three() -> None:
    for body in (b'{"status":"PERHAPS"}', b'{"status":1}', b"{}", b"[]", b'"PROVEN"'):
        refused(AuditAnswer, body)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_longer_than_its_limit_is_refused_unread(kind: type[Bounded]) -> None:
    assert kind.limit in (CONTROL_LIMIT, AUDIT_LIMIT, SHELF_LIMIT)
    refused(kind, b" " * (kind.limit + 1))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_of_too_many_values_is_refused_before_it_takes_memory(kind: type[Bounded]) -> None:
    error = refused(kind, b"[" + b"0," * (kind.limit // 2 - 2) + b"0]")
    assert kind.commas >= kind.limit // 2 or "too many values" in str(error)


def test_the_largest_audit_fits_its_limit() -> None:
    items = tuple(Item(seeded(n), seeded(n), 2**64 - 1, (0, 1, 2, 2**64 - 2)) for n in range(MAX_ITEMS))
    request = AuditRequest(
        paid=PAID, challenge=ChallengeMessage.of(Challenge(seeded("audit"), items)), voucher=CONDITIONAL
    )
    assert len(dump(request)) < AUDIT_LIMIT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"true",
        b"1",
        b'"x"',
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b"\x00",
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"9" * 60_000,
        b"-" + b"9" * 60_000,
        b"1e999999",
        b"NaN",
        b"Infinity",
        b'{"voucher":NaN}',
        b'{"\\ud800":1}',
        b'"\\ud800"',
        b'{"a":1}{"a":1}',
        b'{"voucher":1,"voucher":2}',
        "\ufeff{}".encode(),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    for kind in KINDS:
        refused(kind, body)


@pytest.mark.parametrize(
    "detail",
    ["NaN", "Infinity", "1e999", "9" * 400, "-" + "9" * 400, '{"a":' * 9 + "1" + "}" * 9, "[" * 9 + "]" * 9],
    ids=lambda detail: detail[:20],
)
def test_the_detail_of_an_error_is_tame(detail: str) -> None:
    body = '{"error":"A","message":"no","detail":{"x":%s}}'
    parse(ErrorBody, (body % "[1,2.5,null,true,[]]").encode())
    refused(ErrorBody, (body % detail).encode())


@pytest.mark.parametrize("sentence", ["two\nlines", "\x1b[2J", "\x00", "a" * 1001, "\u202e"])
def test_the_sentence_of_an_error_can_be_shown(sentence: str) -> None:
    refused(ErrorBody, json.dumps({"error": "A", "message": sentence, "detail": {}}).encode())


def read_or_refuse(kind: type[Bounded], body: bytes) -> None:
    """Parse; nothing but MalformedMessage may come out, and what was read has a core and can be written."""
    try:
        message = parse(kind, body)
    except MalformedMessage:
        refused(kind, body)
        return
    if isinstance(message, Mirror):
        message.core()
    assert parse(kind, dump(message)) == message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary(max_size=40).map(lambda data: "0x" + data.hex())
    | amounts.map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(body=st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=40)
def test_any_bytes_and_any_json_are_read_or_refused(kind: type[Bounded], body: bytes) -> None:
    read_or_refuse(kind, body)


def places(tree: Any) -> list[tuple[str | int, ...]]:  # noqa: ANN401 - JSON
    """Every path into a JSON tree."""
    found: list[tuple[str | int, ...]] = []
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, branch in branches:
        found += [(step,), *((step, *rest) for rest in places(branch))]
    return found


@each_message
@given(data=st.data())
@settings(max_examples=60)
def test_a_mutated_message_is_read_or_refused(message: Bounded, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(json.loads(dump(message)))))
    read_or_refuse(type(message), changed(message, path, data.draw(json_values)))


@each_message
@given(data=st.data())
@settings(max_examples=60)
def test_a_message_with_damaged_bytes_is_read_or_refused(message: Bounded, data: st.DataObject) -> None:
    body = bytearray(dump(message))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read_or_refuse(type(message), bytes(body))


def test_refusals_do_not_repeat_what_was_sent() -> None:
    secret = "0x" + seeded("secret").hex()
    error = refused(SignedVoucherMessage, changed(PAID, ("voucher", "channel_id"), secret + "00"))
    assert secret[2:] not in str(error)
