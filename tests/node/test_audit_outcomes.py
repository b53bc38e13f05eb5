"""Outcomes: what the tries of one audit come to, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audit import (
    Answer,
    Outcome,
    Try,
    Window,
    classify,
    try_times,
)

WINDOW = Window(opened_at=1000, response_deadline=300, end=10_000)
S, U, E = Answer.SILENT, Answer.UNREACHABLE, Answer.OUR_FAULT


def tries(*made: tuple[int, Answer]) -> list[Try]:
    return [Try(at, answer) for at, answer in made]


def test_three_tries_are_spread_over_the_window() -> None:
    assert try_times(WINDOW) == (1000, 1100, 1200)
    assert WINDOW.closes_at == 1300


@pytest.mark.parametrize(
    ("made", "now", "outcome"),
    [
        # while the farmer has time
        ([], 1000, None),
        ([(1000, S)], 1299, None),
        ([(1000, S), (1100, S), (1200, S)], 1299, None),
        ([(1000, U)], 1299, None),
        # a proof, whenever it comes
        ([(1000, Answer.PROVEN)], 1000, Outcome.PASSED),
        ([(1000, S), (1100, S), (1200, S), (5000, Answer.PROVEN)], 5000, Outcome.PASSED),
        ([(1000, Answer.DISPROVED), (1100, Answer.PROVEN)], 1100, Outcome.PASSED),
        ([(1000, Answer.PROVEN)], 20_000, Outcome.PASSED),
        # lost data
        ([(1000, Answer.DISPROVED)], 1000, Outcome.FAILED),
        ([(1000, Answer.DECLINED)], 1000, Outcome.FAILED),
        ([(1000, S), (1100, S), (1200, S)], 1300, Outcome.FAILED),
        ([(1000, S), (1000, E), (1150, S), (1299, S)], 1300, Outcome.FAILED),
        ([(1000, S), (1100, S), (1150, U), (1200, S)], 1300, Outcome.FAILED),
        # no answer, but not three tries over the whole window
        ([(1000, S), (1100, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, S), (1001, S), (1002, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, S), (1100, U), (1200, S)], 1300, Outcome.TIMED_OUT),
        ([(1000, U), (1100, U), (1200, S)], 1300, Outcome.TIMED_OUT),
        # never reached
        ([(1000, U)], 1300, Outcome.OFFLINE),
        ([(1000, U), (1100, E), (1200, U)], 1300, Outcome.OFFLINE),
        # never asked
        ([], 1300, Outcome.UNCHECKED),
        ([(1000, E), (1100, E), (1200, E)], 1300, Outcome.UNCHECKED),
        # over
        ([(1000, S), (1100, S), (1200, S)], 10_000, Outcome.NOT_NEEDED),
        ([], 10_000, Outcome.NOT_NEEDED),
    ],
    ids=str,
)
def test_outcome_of_the_tries(made: list[tuple[int, Answer]], now: int, outcome: Outcome | None) -> None:
    assert classify(tries(*made), WINDOW, now) is outcome


@pytest.mark.parametrize("deadline", [0, 1, 2])
def test_a_tiny_deadline_is_no_way_to_stay_silent(deadline: int) -> None:
    window = Window(1000, deadline, 10_000)
    silent = [Try(at, Answer.SILENT) for at in try_times(window)]
    assert len({attempt.at for attempt in silent}) == 3
    assert classify(silent, window, window.closes_at) is Outcome.FAILED


@given(
    st.lists(st.tuples(st.integers(900, 11_000), st.sampled_from(Answer)), max_size=6),
    st.integers(900, 11_000),
)
def test_only_a_verified_proof_earns_and_our_own_faults_never_cost_the_farmer(
    made: list[tuple[int, Answer]], now: int
) -> None:
    outcome = classify(tries(*made), WINDOW, now)
    answers = {answer for _, answer in made}
    assert (outcome is Outcome.PASSED) == (Answer.PROVEN in answers)
    if outcome is Outcome.FAILED:
        assert answers & {Answer.DISPROVED, Answer.DECLINED, Answer.SILENT}
    without_ours = [(at, answer) for at, answer in made if answer is not Answer.OUR_FAULT]
    if without_ours:
        assert classify(tries(*without_ours), WINDOW, now) is outcome
