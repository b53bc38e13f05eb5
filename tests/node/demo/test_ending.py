"""Each promise of the story, broken on purpose, is noticed."""

from dataclasses import replace

import pytest

from node.demo.cast import Fate, Shape
from node.demo.ending import Audits, Balances, Ending, FarmerEnding, GasUsed, StoredFile
from node.demo.errors import ImpossibleStory
from payments.types import Amount

SHA = "5f" * 32


def farmer(name: str, fate: Fate, audits: Audits, earned: int, before: int) -> FarmerEnding:
    return FarmerEnding(
        name=name,
        fate=fate,
        audits=audits,
        before=Amount(before),
        signed=Amount(earned),
        claimed=Amount(earned),
        balance=earned,
        gas=50_000,
    )


HONEST = farmer("honest", Fate.HONEST, Audits(passed=3), 30, 10)
THIEF = farmer("thief", Fate.THREW_AWAY, Audits(passed=1, failed=1), 10, 10)
SILENT = farmer("silent", Fate.WENT_OFFLINE, Audits(passed=1, offline=2), 10, 10)
GOOD = Ending(
    chain="embedded",
    k=1,
    n=3,
    file=StoredFile("file", 5, SHA),
    segments=1,
    retrieved_sha256=SHA,
    farmers=(HONEST, THIEF, SILENT),
    before=Balances(supply=1_000, renter=900, contract=0, payees=(0, 0, 0)),
    after=Balances(supply=1_000, renter=850, contract=0, payees=(30, 10, 10)),
    gas=GasUsed(1, 1, 1),
    seconds=1.0,
)


def test_a_good_ending_has_no_problem_and_says_so_in_json() -> None:
    assert GOOD.problems == ()
    said = GOOD.to_json()
    assert said["conserved"] is True
    assert said["balances"] == {"renter_before": "900", "renter_after": "850", "farmers_earned": "50"}
    assert said["audits"] == {"passed": 5, "failed": 1, "offline": 2}
    assert said["vouchers"] == {"signed_total": "50", "claimed_total": "50"}


MONEY = {
    "left in the contract": replace(GOOD.after, contract=10, renter=840),
    "outside the story": replace(GOOD.after, renter=840),
    "supply": replace(GOOD.after, supply=1_010, renter=860),
    "the renter spent": replace(GOOD.after, renter=840),
    "was claimed": replace(GOOD.after, payees=(31, 10, 10), renter=849),
}


@pytest.mark.parametrize(("sentence", "after"), MONEY.items(), ids=MONEY.keys())
def test_a_token_that_is_not_where_it_must_be_is_noticed(sentence: str, after: Balances) -> None:
    ending = replace(GOOD, after=after)
    assert not ending.conserved
    assert any(sentence in problem for problem in ending.problems)


FARMERS = {
    "audits failed": replace(HONEST, audits=Audits(passed=2, failed=1)),
    "no audit noticed": replace(THIEF, audits=Audits(passed=1)),
    "passed 2 audits": replace(THIEF, audits=Audits(passed=2, failed=1)),
    "for nothing": replace(THIEF, before=Amount(4)),
    "claimed 10 of 9": replace(SILENT, signed=Amount(9)),
}


@pytest.mark.parametrize(("sentence", "one"), FARMERS.items(), ids=FARMERS.keys())
def test_a_farmer_treated_wrongly_is_noticed(sentence: str, one: FarmerEnding) -> None:
    others = tuple(known for known in GOOD.farmers if known.name != one.name)
    problems = replace(GOOD, farmers=(one, *others)).problems
    assert any(sentence in problem for problem in problems), problems


def test_other_bytes_are_noticed() -> None:
    assert "not the one that was stored" in replace(GOOD, retrieved_sha256="00" * 32).problems[0]


def test_a_shape_says_who_turns_bad_and_how_many_die() -> None:
    assert Shape().villains == (Fate.THREW_AWAY, Fate.WENT_OFFLINE, Fate.CORRUPTED)
    assert Shape().killed == 5
    assert Shape(farmers=3, k=2, n=3).villains == (Fate.THREW_AWAY,)
    assert Shape(farmers=3, k=2, n=3).killed == 0


@pytest.mark.parametrize(
    "shape",
    [
        {"k": 0},
        {"k": 12},
        {"n": 13},
        {"rounds": 1},
        {"farmers": 11},
        {"segment_size": 0},
        {"segment_size": 64 * 2**20 + 1},
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape: dict[str, int]) -> None:
    with pytest.raises(ImpossibleStory):
        Shape(**shape)
