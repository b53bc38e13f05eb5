"""`tithe durability`: what it says for the default, and what it refuses."""

import pytest

from tests.cli.conftest import Tithe


def test_the_default_is_told_in_nines(tithe: Tithe) -> None:
    shown = tithe("durability")
    assert "29 of 80, repaired below 52 healthy shards" in shown.out
    assert "15.6 nines" in shown.out
    assert "independently" in shown.err


def test_a_code_of_ones_own_and_its_years(tithe: Tithe) -> None:
    command = ("durability", "--k", "4", "--n", "12", "--lifetime", "365d")
    said = tithe(*command, "--years", "10", "--json").json
    assert said["risk"]["threshold"] == 8
    assert 9 < said["loss"] / said["yearly_loss"] < 10
    assert tithe(*command, "--detection", "1d", "--json").json["nines"] > said["nines"]
    assert "in 10 years" in tithe(*command, "--years", "10").out


def test_what_is_too_rare_to_tell_is_bounded(tithe: Tithe) -> None:
    said = tithe("durability", "--n", "200", "--threshold", "200", "--lifetime", "36500d", "--json").json
    assert said["nines"] <= 300
    assert said["mean_years_to_loss"] <= 1e300


@pytest.mark.parametrize(
    "arguments", [("--k", "4", "--n", "4"), ("--threshold", "81"), ("--lifetime", "ever")]
)
def test_what_is_no_code_is_refused(tithe: Tithe, arguments: tuple[str, ...]) -> None:
    assert tithe("durability", *arguments, expect=2).error
