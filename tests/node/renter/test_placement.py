"""Which shape a network carries, and who gets the shards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.renter.errors import ImpossibleShape, NotEnoughFarmers
from node.renter.placement import Candidate, Shape, choose_shape, neighbourhoods, rank_farmers
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


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://192.0.2.77:4501", "192.0.2.0/24"),
        ("https://[2001:db8:5:6::1]:9", "2001:db8:5::/48"),
        ("http://farm7.Barn.example:80/path", "barn.example"),
        ("http://example.", "example"),
        ("http://127.0.0.9:1", None),
        ("http://[::1]", None),
        ("http://localhost:4501", None),
        ("http://farm.localhost", None),
    ],
)
def test_a_neighbourhood_is_a_network_or_a_domain(url: str, place: str | None) -> None:
    assert neighbourhoods([url]) == ({place} if place else set())
    assert neighbourhoods([url, "http://127.0.0.1"]) == neighbourhoods([url])


def _candidate(number: int, *places: str, price: int = 1, lapses: int = 0, score: float = 1.0) -> Candidate:
    node = NodeId(bytes([number]) * 32)
    return Candidate(node, Amount(price), lapses, score, frozenset(places))


def _numbers(candidates: list[Candidate], taken: tuple[str, ...] = ()) -> list[int]:
    return [farmer[0] for farmer in rank_farmers(candidates, b"x", taken)]


def test_neighbours_are_avoided_where_there_are_others() -> None:
    crowd = [_candidate(number, "a", price=number) for number in range(1, 4)]
    far = [_candidate(4, "b", price=9), _candidate(5, price=10)]
    assert _numbers([*crowd, *far]) == [1, 4, 5, 2, 3]
    assert _numbers([*crowd, *far], taken=("a",)) == [4, 5, 1, 2, 3]
    assert _numbers([*crowd, _candidate(6, "c", lapses=1)]) == [1, 2, 3, 6]
    assert _numbers(crowd) == [1, 2, 3]


def test_a_farmer_with_several_addresses_has_all_their_neighbours() -> None:
    both = _candidate(2, "a", "b", price=2)
    found = _numbers([_candidate(1, "a"), both, _candidate(3, "b", price=3), _candidate(4, "c", price=4)])
    assert found == [1, 4, 2, 3]


def test_who_answers_more_often_comes_first() -> None:
    assert _numbers([_candidate(1, score=0.6), _candidate(2, price=9), _candidate(3, score=0.97)]) == [
        3,
        2,
        1,
    ]
