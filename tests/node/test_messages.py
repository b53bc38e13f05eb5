"""Messages: every one survives the wire."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.messages import (
    AgreementMessage,
    Bounded,
    Mirror,
    dump,
    parse,
)
from tests.node.all_messages import MESSAGES, MIRRORS, PAID
from tests.node.support import (
    make_agreement,
    seeded,
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
