"""A crew: who holds which index, who is called next, and never two shards of a segment at one farmer."""

import pytest

from node.renter.crew import Crew, Supplier, in_place
from node.renter.money import Account
from payments.types import NodeId


class Named(Supplier):
    """A supplier that is only a name."""

    def __init__(self, name: str) -> None:
        self._name = NodeId(name.encode().ljust(32))

    account: Account

    @property
    def farmer(self) -> NodeId:
        return self._name


def named(letters: str) -> list[Supplier]:
    return [Named(letter) for letter in letters]


def test_races_for_one_index_have_one_challenger() -> None:
    a, b, c, d = people = named("abcd")
    crew = Crew(people, 2)
    assert crew.challenge(0, a) is c
    assert crew.challenge(0, a) is c
    assert crew.challenge(1, b) is d
    crew.end_race(0, c, won=False)
    assert crew.challenge(1, b) is d
    crew.end_race(0, c, won=True)
    assert crew.members == [c, b]


def test_a_challenger_that_won_nothing_is_the_next_to_be_called() -> None:
    a, b, c, d = people = named("abcd")
    crew = Crew(people, 2)
    assert crew.challenge(0, a) is c
    crew.end_race(0, c, won=False)
    assert crew.challenge(1, b) is c
    assert crew.challenge(0, a) is d


def test_who_has_the_place_by_now_challenges_who_had_it() -> None:
    a, b, c, d = people = named("abcd")
    crew = Crew(people, 2)
    assert crew.replace(0, a)
    assert crew.challenge(0, a) is c
    crew.end_race(0, c, won=False)
    assert crew.members == [c, b]
    assert crew.challenge(1, b) is d


def test_nobody_challenges_where_no_spare_one_is_left() -> None:
    (a, b) = people = named("ab")
    crew = Crew(people, 2)
    assert crew.challenge(0, a) is None
    assert not crew.replace(1, b)
    assert crew.members == people


@pytest.mark.parametrize(
    ("held", "order"), [({}, "abcd"), ({0: "c", 2: "a"}, "cbad"), ({1: "z", 9: "d"}, "abcd")]
)
def test_who_holds_an_index_keeps_it(held: dict[int, str], order: str) -> None:
    holders = {index: Named(letter).farmer for index, letter in held.items()}
    found = in_place(named("abcd"), holders, 3)
    assert [one.farmer for one in found] == [one.farmer for one in named(order)]
