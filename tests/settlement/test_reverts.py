"""Reverts: every Solidity error has its Python twin, and no bytes break the decoder."""

from typing import get_type_hints

from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from payments.errors import upper_snake
from settlement.abi import error_table
from settlement.errors import Reverted
from settlement.reverts import CustomError, Panicked, UnknownRevert, decode_revert

PYTHON_TYPES = {"address": bytes, "bytes32": bytes, "uint256": int, "uint8": int, "string": str}
SAMPLES = {"address": b"\x11" * 20, "bytes32": b"\x22" * 32, "uint256": 7, "uint8": 3, "string": "long"}


def test_every_solidity_error_has_a_class_of_its_name_and_arguments() -> None:
    classes = {kind.__name__: kind for kind in CustomError.__subclasses__()}
    assert set(classes) == {error.name for error in error_table().values()}
    for error in error_table().values():
        hints = get_type_hints(classes[error.name])
        for name, kind in zip(error.names, error.types, strict=True):
            assert hints[upper_snake(name).lower()] is PYTHON_TYPES[kind], error


def test_arguments_become_attributes() -> None:
    for selector, error in error_table().items():
        values = [SAMPLES[kind] for kind in error.types]
        raised = decode_revert(selector + encode(error.types, values))
        assert type(raised).__name__ == error.name
        for name, value in zip(error.names, values, strict=True):
            assert getattr(raised, upper_snake(name).lower()) == value
        assert raised.code == upper_snake(error.name)


def test_solidity_s_own_errors_are_read() -> None:
    said = decode_revert(bytes.fromhex("08c379a0") + encode(["string"], ["no way"]))
    assert (type(said), said.says) == (Reverted, "no way")
    panic = decode_revert(bytes.fromhex("4e487b71") + encode(["uint256"], [0x11]))
    assert isinstance(panic, Panicked)
    assert panic.panic == 0x11
    assert isinstance(decode_revert(b""), UnknownRevert)
    unknown = decode_revert(b"\xde\xad\xbe\xef rest")
    assert isinstance(unknown, UnknownRevert)
    assert unknown.data == b"\xde\xad\xbe\xef rest"


@given(st.sampled_from([*error_table(), bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")]), st.binary())
def test_no_bytes_break_the_decoder(selector: bytes, rest: bytes) -> None:
    assert isinstance(decode_revert(selector + rest), Reverted)
    assert isinstance(decode_revert(rest), Reverted)
