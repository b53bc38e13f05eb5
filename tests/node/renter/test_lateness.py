"""Lateness in an upload: late is who takes much longer than the crowd."""

import asyncio

import pytest

from node.renter.lateness import LEAST, Lateness, late_after


@pytest.mark.parametrize(
    ("taken", "limit"), [([0.01, 0.02], 0.02 + LEAST), ([1.0, 2.0, 3.0], 6.0), ([0.0], LEAST)]
)
def test_late_is_twice_as_long_as_the_faster_half_and_no_chance(taken: list[float], limit: float) -> None:
    assert late_after(taken) == pytest.approx(limit)


def test_nobody_is_late_before_half_of_the_shards_are_there() -> None:
    async def story() -> None:
        pace = Lateness(4)
        late = asyncio.create_task(pace.late(asyncio.get_running_loop().time() - 60))
        pace.arrived(0.01)
        await asyncio.sleep(0)
        assert not late.done()
        pace.arrived(0.01)
        await late
        pace.arrived(9.0)
        await pace.late(asyncio.get_running_loop().time() - 60)

    asyncio.run(story())
