"""Messages: every one survives the wire, and whatever else arrives is refused by one name."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.agreement import Agreement, sign_agreement
from node.audit import Challenge, Item, ItemProof, Proof, challenge_digest
from node.errors import MalformedMessage
from node.messages import (
    AUDIT_LIMIT,
    CONTROL_LIMIT,
    MAX_ITEMS,
    SHELF_LIMIT,
    AgreementMessage,
    AgreementState,
    AgreementView,
    AuditAnswer,
    AuditRequest,
    Behind,
    Bounded,
    ChainMessage,
    ChallengeMessage,
    ChannelView,
    Declined,
    ErrorBody,
    Mirror,
    NodeInfo,
    OpenChannel,
    PayVoucher,
    PricesMessage,
    ProofMessage,
    ProposeAgreement,
    Proven,
    ProvenMessage,
    QuoteMessage,
    ReadShard,
    RecordMessage,
    ShelfEntry,
    ShelfList,
    ShelfPlace,
    SignedQuoteMessage,
    SignedRecordMessage,
    SignedVoucherMessage,
    TermsMessage,
    VoucherMessage,
    dump,
    parse,
)
from node.node_record import NodeRecord, SignedRecord, sign_record
from payments.prices import Prices, Quote, SignedQuote, sign_quote
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId, NodeId, Seconds, Timestamp
from payments.vouchers import SignedVoucher, SigningKey, Terms, Voucher, sign_voucher
from tests.node.decoders import kinds
from tests.node.support import (
    DAY,
    DOMAIN,
    FARMER,
    NOW,
    QUOTE,
    make_agreement,
    make_audit,
    make_shard,
    seeded,
)

words = st.binary(min_size=32, max_size=32)
addresses = st.binary(min_size=20, max_size=20).map(Address)
signatures = st.binary(min_size=64, max_size=64)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
seconds, times = u32.map(Seconds), u64.map(Timestamp)
amounts = st.integers(0, MAX_AMOUNT).map(Amount)
vouchers = st.builds(Voucher, words.map(ChannelId), amounts, words)
prices = st.builds(Prices, amounts, amounts, amounts)
quotes = st.builds(
    Quote,
    farmer=words.map(NodeId),
    sequence=u64,
    issued_at=times,
    expires_at=times,
    prices=prices,
    audit_interval=st.integers(1, 2**32 - 1).map(Seconds),
    response_deadline=seconds,
    grace=seconds,
    min_deposit=amounts,
    min_agreement_value=amounts,
    min_challenge_period=st.integers(0, 100).map(Seconds),
    max_challenge_period=st.integers(100, 2**32 - 1).map(Seconds),
    max_agreement_seconds=u64.map(Seconds),
    tokens=st.lists(addresses, max_size=3).map(tuple),
    free_bytes=u64,
)
challenges = st.builds(
    Challenge,
    words,
    st.lists(st.builds(Item, words, words, u64, st.lists(u64, max_size=4).map(tuple)), max_size=3).map(tuple),
)
proofs = st.builds(
    Proof,
    st.lists(
        st.builds(
            ItemProof,
            st.lists(st.binary(min_size=1, max_size=1024), max_size=4).map(tuple),
            st.lists(st.lists(words, max_size=3).map(tuple), max_size=4).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
)
records = st.builds(
    NodeRecord,
    node=words.map(NodeId),
    payee=addresses,
    urls=st.lists(st.text(min_size=1, max_size=50), max_size=4).map(tuple),
    sequence=u64,
    expires_at=times,
    quote_path=st.text(min_size=1, max_size=50),
)
terms = st.builds(Terms, addresses, addresses, addresses, addresses, seconds, words)
agreements = st.builds(
    Agreement,
    words.map(NodeId),
    words.map(NodeId),
    u64,
    u64,
    words,
    amounts,
    seconds,
    seconds,
    seconds,
    amounts,
    times,
    times,
)
MIRRORS: list[tuple[type[Mirror[Any]], st.SearchStrategy[Any]]] = [
    (TermsMessage, terms),
    (VoucherMessage, vouchers),
    (SignedVoucherMessage, st.builds(SignedVoucher, vouchers, signatures)),
    (PricesMessage, prices),
    (QuoteMessage, quotes),
    (SignedQuoteMessage, st.builds(SignedQuote, quotes, signatures)),
    (RecordMessage, records),
    (SignedRecordMessage, st.builds(SignedRecord, records, signatures)),
    (AgreementMessage, agreements),
    (ChallengeMessage, challenges),
    (ProofMessage, proofs),
]

# One of each, made of real values


SIGNER = SigningKey(b"\x11" * 32)
CHALLENGE, PROOF = make_audit(make_shard(5000, 1), make_shard(100, 2))
PAID = SignedVoucherMessage.of(
    sign_voucher(DOMAIN, Voucher(ChannelId(seeded("channel")), Amount(2**95)), SIGNER)
)
CONDITIONAL = SignedVoucherMessage.of(
    sign_voucher(
        DOMAIN,
        Voucher(ChannelId(seeded("channel")), Amount(2**95 + 7), challenge_digest(DOMAIN, CHALLENGE)),
        SIGNER,
    )
)
EVIDENCE: dict[str, Any] = {
    "voucher": CONDITIONAL,
    "challenge": ChallengeMessage.of(CHALLENGE),
    "proof": ProofMessage.of(PROOF),
}
RECORD = NodeRecord(FARMER.node, Address(b"\x44" * 20), ("http://127.0.0.1:4321",), 1, Timestamp(NOW + DAY))
ADDRESS = Address(b"\x70" * 20)
MESSAGES: list[Bounded] = [
    NodeInfo(
        record=SignedRecordMessage.of(sign_record(RECORD, FARMER)),
        quote=SignedQuoteMessage.of(sign_quote(QUOTE, FARMER.signing_key)),
        chain=ChainMessage(chain_id=2**64 + 7, genesis_hash=seeded("genesis"), contract=DOMAIN.contract),
        run=b"\x0a" * 16,
    ),
    OpenChannel(
        terms=TermsMessage.of(Terms(ADDRESS, ADDRESS, ADDRESS, ADDRESS, Seconds(60), bytes(32))),
        node_key_signature=bytes(64),
    ),
    ChannelView(
        channel_id=seeded("channel"),
        deposit=MAX_AMOUNT,
        claimed=0,
        closes_at=None,
        paid=PAID,
        proven=ProvenMessage(**EVIDENCE),
        exposure=1,
        serving=True,
        restored=False,
    ),
    ProposeAgreement(
        agreement=AgreementMessage.of(make_agreement()),
        renter_signature=sign_agreement(DOMAIN, make_agreement(), SIGNER),
    ),
    AgreementView(agreement_id=seeded("id"), state=AgreementState.STORED, farmer_signature=bytes(64)),
    AgreementView(agreement_id=seeded("id"), state=AgreementState.PROPOSED, farmer_signature=None),
    ReadShard(offset=0, length=2**20, payment=PAID),
    AuditRequest(paid=PAID, challenge=ChallengeMessage.of(CHALLENGE), voucher=CONDITIONAL),
    AuditRequest(paid=None, challenge=ChallengeMessage.of(CHALLENGE), voucher=CONDITIONAL),
    AuditAnswer(Proven(proof=ProofMessage.of(PROOF))),
    AuditAnswer(Declined(agreements=(seeded("agreement"),))),
    AuditAnswer(Behind(**EVIDENCE)),
    PayVoucher(voucher=PAID),
    ShelfEntry(entry=b"e" * 16, version=7, sealed=b"sealed"),
    ShelfList(entries=(ShelfPlace(entry=bytes(16), version=1), ShelfPlace(entry=b"e" * 16, version=7))),
    ErrorBody(error="PAID_TOO_LOW", message="0 paid", detail={"paid": "0", "more": [1, None, {"a": True}]}),
]
KINDS = sorted(
    {type(message) for message in MESSAGES} | {kind for kind, _ in MIRRORS} | set(kinds()),
    key=lambda k: k.__name__,
)
each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)


@each_message
def test_a_message_survives_the_wire(message: Bounded) -> None:
    body = dump(message)
    assert parse(type(message), body) == message
    assert dump(parse(type(message), body)) == body
    assert len(body) <= type(message).limit


@pytest.mark.parametrize(("kind", "values"), MIRRORS, ids=[kind.__name__ for kind, _ in MIRRORS])
@given(data=st.data())
@settings(max_examples=30)
def test_a_value_survives_the_wire(
    kind: type[Mirror[Any]], values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    assert kind.of(value).core() == value
    assert parse(kind, dump(kind.of(value))).core() == value


def test_wire_form_is_hex_decimal_strings_and_numbers() -> None:
    assert json.loads(dump(PAID)) == {
        "voucher": {
            "channel_id": "0x" + seeded("channel").hex(),
            "cumulative_amount": str(2**95),
            "condition": "0x" + "00" * 32,
        },
        "signature": "0x" + PAID.signature.hex(),
    }
    agreement = json.loads(dump(AgreementMessage.of(make_agreement())))
    assert agreement["shard_length"] == 3000
    assert agreement["step"] == "5000000000"
    answer = json.loads(dump(MESSAGES[9]))
    assert answer["status"] == "PROVEN"


def test_messages_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PAID.voucher.cumulative_amount = 0


# What is refused


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
