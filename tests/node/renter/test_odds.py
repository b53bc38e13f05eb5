"""The odds of docs/audits.md: computed, printed as they are there, and found again by drawing leaves."""

import random
from itertools import pairwise
from math import comb, sqrt
from pathlib import Path

import pytest

from node.audit import MAX_CLAIM_BYTES, MAX_INDICES, choose_indices
from node.merkle import leaf_count
from node.renter.batches import group_subjects, leaves_each
from tests.node.renter.test_batches import subjects

PAGE = Path(__file__).parents[3] / "docs" / "audits.md"
LEAVES = leaf_count(2_314_099)
SHARES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5)
AUDITS = (1, 7, 30, 90)
RUNS = 4_000


def detect(leaves: int, lost: int, asked: int, audits: int) -> float:
    """How likely at least one of so many audits, each of `asked` different leaves, hits one of the lost."""
    asked = min(asked, leaves)
    return 1 - (comb(leaves - lost, asked) / comb(leaves, asked)) ** audits


def row(share: float, asked: int) -> str:
    lost = round(LEAVES * share)
    cells = [f"{100 * detect(LEAVES, lost, asked, audits):.1f} %" for audits in AUDITS]
    return f"| {share * 100:g} % | {asked} | " + " | ".join(cells) + " |"


def test_the_page_shows_the_odds() -> None:
    page = PAGE.read_text()
    for share in SHARES:
        for asked in (1, MAX_INDICES):
            assert row(share, asked) in page
    farmer = 1 - (1 - detect(LEAVES, round(LEAVES * 0.01), 1, 1)) ** 125
    assert f"found out in the first round with {farmer:.0%}".replace("%", " %") in page


def test_the_page_says_how_many_leaves_are_asked_for() -> None:
    page = " ".join(PAGE.read_text().split())
    most = {
        leaves: max(count for count in range(1, 80) if leaves_each(subjects(count)) >= leaves)
        for leaves in (4, 3, 2)
    }
    assert f"four up to {most[4]} shards, three up to {most[3]}, two up to {most[2]}" in page
    (full, *_) = group_subjects(subjects(80))
    assert f"{len(full)} shards fill a challenge" in page
    assert f"{MAX_CLAIM_BYTES // 1024} KiB" in page


@pytest.mark.parametrize(
    ("share", "asked", "audits"), [(0.01, 1, 7), (0.05, 4, 1), (0.05, 1, 30), (0.5, 1, 1), (0.25, 4, 1)]
)
def test_drawing_leaves_finds_losses_as_often_as_computed(share: float, asked: int, audits: int) -> None:
    leaves = 200  # a small shard: the same few leaves come again and again
    chance = random.Random(share * asked + audits)
    lost = set(chance.sample(range(leaves), round(leaves * share)))
    found = 0
    for _ in range(RUNS):
        draws = (choose_indices(leaves, asked, chance.randbytes(32)) for _ in range(audits))
        found += any(not lost.isdisjoint(indices) for indices in draws)
    expected = detect(leaves, len(lost), asked, audits)
    assert abs(found / RUNS - expected) < 4 * sqrt(expected * (1 - expected) / RUNS)


def test_a_shard_that_is_gone_is_found_at_once_and_one_that_is_whole_never() -> None:
    assert detect(LEAVES, LEAVES, 1, 1) == 1
    assert detect(LEAVES, 0, 4, 1_000) == 0
    assert detect(3, 1, 4, 1) == 1  # all of its leaves are asked for


def test_more_leaves_and_more_audits_find_more() -> None:
    odds = [detect(LEAVES, 23, asked, audits) for asked in (1, 4) for audits in AUDITS]
    assert all(low < high for low, high in pairwise(odds[:4]))
    assert all(one < four for one, four in zip(odds[:4], odds[4:], strict=True))
