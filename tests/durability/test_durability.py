"""The model of durability: against closed forms, against limits, and against churn played out."""

import math
from collections.abc import Callable
from random import Random
from statistics import mean, stdev

import pytest

from node.durability import YEAR, Risk, loss_within, mean_time_to_loss, nines
from tests.durability.simulation import Setting, audited, life, memoryless

DAY = 86_400.0
LIFE = 100.0


@pytest.mark.parametrize("delay", [1e-6, 0.1, 1.0, 30.0])
def test_a_mirrored_pair_has_its_well_known_mean(delay: float) -> None:
    gone, back = 1 / LIFE, 1 / delay
    expected = (3 * gone + back) / (2 * gone * gone)
    assert mean_time_to_loss(Risk(1, 2, 2, LIFE, delay)) == pytest.approx(expected, rel=1e-12)


def test_without_repair_a_segment_waits_for_its_farmers_to_go_one_by_one() -> None:
    expected = sum(LIFE / alive for alive in range(29, 81))
    assert mean_time_to_loss(Risk(29, 80, 52, LIFE, 1e15)) == pytest.approx(expected, rel=1e-9)


def test_rare_losses_keep_their_digits() -> None:
    """With the least delay the loss needs one more failure after another: a power of the delay."""

    def rate(delay: float) -> float:
        return 1 / mean_time_to_loss(Risk(3, 9, 9, LIFE, delay))

    assert rate(1e-7) / rate(1e-6) == pytest.approx(1e-6, rel=1e-4)
    assert rate(1e-7) == pytest.approx(math.perm(9, 7) / math.factorial(6) * 1e-9**6 / LIFE, rel=1e-5)


def test_everything_that_should_help_helps() -> None:
    standard = Risk(29, 80, 52, 180 * DAY, 9 * DAY)
    worse = (
        Risk(29, 80, 40, 180 * DAY, 9 * DAY),
        Risk(29, 80, 52, 90 * DAY, 9 * DAY),
        Risk(29, 80, 52, 180 * DAY, 18 * DAY),
        Risk(35, 80, 52, 180 * DAY, 9 * DAY),
    )
    assert all(loss_within(one, YEAR) > loss_within(standard, YEAR) for one in worse)
    assert loss_within(standard, YEAR, 10) == pytest.approx(10 * loss_within(standard, YEAR))
    assert loss_within(standard, 10 * YEAR) == pytest.approx(10 * loss_within(standard, YEAR))


def test_nines_are_counted() -> None:
    assert nines(1e-11) == pytest.approx(11)
    assert nines(0) == math.inf
    assert loss_within(Risk(1, 60, 60, 1e12, 1e-9), YEAR) == 0


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 4, 2), (2, 4, 5)])
def test_what_is_no_code_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Risk(*shape, LIFE, 1.0)
    with pytest.raises(ValueError, match="positive"):
        Risk(1, 3, 2, LIFE, 0)


SHAPES = [(3, 10, 6, 20.0, 900), (4, 12, 8, 25.0, 900), (5, 20, 10, 50.0, 1500), (1, 3, 2, 20.0, 1500)]


def lives(risk: Risk, notice: Callable[[Random], float], runs: int, work: float = 0.0) -> list[float]:
    setting = Setting(risk.k, risk.n, risk.threshold, risk.lifetime, notice, work)
    dice = Random(2026)
    return [life(setting, dice) for _ in range(runs)]


@pytest.mark.parametrize(("k", "n", "threshold", "delay", "runs"), SHAPES)
def test_churn_played_out_agrees_with_the_model(
    k: int, n: int, threshold: int, delay: float, runs: int
) -> None:
    """Within 3 standard errors of the mean, which are at most a ninth of it."""
    risk = Risk(k, n, threshold, LIFE, delay)
    seen = lives(risk, memoryless(delay), runs)
    error = stdev(seen) / math.sqrt(runs)
    assert error < 0.036 * mean(seen)
    assert abs(mean(seen) - mean_time_to_loss(risk)) < 3 * error


@pytest.mark.parametrize(("k", "n", "threshold", "delay", "runs"), SHAPES)
def test_audits_grace_and_work_last_as_the_model_says_or_longer(
    k: int, n: int, threshold: int, delay: float, runs: int
) -> None:
    """Delays of their true shape: in these settings the model is off by less than a fifth of a nine."""
    risk = Risk(k, n, threshold, LIFE, delay)
    seen = mean(lives(risk, audited(delay / 8, delay * 13 / 16), runs // 2, delay / 8))
    assert 0.9 < seen / mean_time_to_loss(risk) < 1.5
