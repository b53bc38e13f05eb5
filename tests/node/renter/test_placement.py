"""Which shape a network carries, and who gets the shards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.renter.errors import ImpossibleShape, NotEnoughFarmers
from node.renter.placement import Candidate, Shape, choose_shape, rank_farmers
from payments.types import Amount, NodeId


@pytest.mark.parametrize(
    ("farmers", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (6, (2, 6)), (12, (4, 12)), (80, (29, 80)), (500, (29, 80))],
)
def test_default_shape_shrinks_with_the_network(farmers: int, shape: tuple[int, int]) -> None:
    assert choose_shape(farmers) == Shape(*shape)


def test_given_numbers_stay_as_given() -> None:
    assert choose_shape(12, k=4, n=10) == Shape(4, 10)
    assert choose_shape(12, n=6) == Shape(2, 6)
    assert choose_shape(100, k=4) == Shape(4, 12)
    assert choose_shape(5, k=4) == Shape(4, 5)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ImpossibleShape):
        choose_shape(12, k=5, n=4)
    with pytest.raises(ImpossibleShape):
        choose_shape(300, k=0)
    with pytest.raises(ImpossibleShape):
        choose_shape(300, k=1, n=257)


def test_too_few_farmers_are_named() -> None:
    with pytest.raises(NotEnoughFarmers) as caught:
        choose_shape(3, k=4)
    assert (caught.value.needed, caught.value.usable) == (4, 3)
    with pytest.raises(NotEnoughFarmers):
        choose_shape(0)


@given(farmers=st.integers(1, 400))
def test_default_shape_never_needs_more_than_there_are(farmers: int) -> None:
    shape = choose_shape(farmers)
    assert 1 <= shape.k <= shape.n <= min(farmers, 80)
    assert shape.k * 80 <= max(80, shape.n * 29)


def test_reliable_farmers_come_first_then_cheap_ones() -> None:
    dear, cheap, lapsed = (NodeId(bytes([number]) * 32) for number in range(3))
    ranked = rank_farmers(
        [Candidate(dear, Amount(9)), Candidate(lapsed, Amount(1), lapses=2), Candidate(cheap, Amount(3))],
        b"x",
    )
    assert ranked == (cheap, dear, lapsed)


def test_equals_are_drawn_by_lot() -> None:
    farmers = [Candidate(NodeId(bytes([number]) * 32), Amount(1)) for number in range(8)]
    orders = {rank_farmers(farmers, bytes([lot])) for lot in range(20)}
    assert len(orders) > 10
    assert all(len(set(order)) == len(farmers) for order in orders)
