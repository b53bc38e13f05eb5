"""The tree of errors: every one has its code, and the docstring draws them all."""

import inspect
import re

import pytest

from payments import errors
from payments.errors import AboveDeposit, HighS, InsufficientDeposit, PaymentError, upper_snake

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, PaymentError)]


@pytest.mark.parametrize(
    ("name", "code"),
    [("AboveDeposit", "ABOVE_DEPOSIT"), ("HighS", "HIGH_S"), ("HTTPError", "HTTP_ERROR"), ("Fault", "FAULT")],
)
def test_code_is_the_name_in_upper_snake(name: str, code: str) -> None:
    assert upper_snake(name) == code


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_has_its_own_code(kind: type[PaymentError]) -> None:
    assert kind.code == upper_snake(kind.__name__)
    assert kind.__doc__


def test_docstring_draws_the_whole_tree() -> None:
    drawn = re.findall(r"^[ |]*\+- (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert sorted(drawn) == sorted(kind.__name__ for kind in TREE if kind is not PaymentError)


def test_values_are_kept_as_attributes() -> None:
    error = AboveDeposit(11, 10)
    assert (error.total, error.deposit) == (11, 10)
    assert error.detail == {"total": 11, "deposit": 10}
    assert str(error) == "the voucher promises 11, the confirmed deposit is 10"
    assert InsufficientDeposit(5, 4).code == "INSUFFICIENT_DEPOSIT"
    assert HighS(b"\x01").detail == {"signature": b"\x01"}
