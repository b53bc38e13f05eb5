"""The kill matrix: every site, before and after, ended by SIGKILL, restarted, and judged."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from settlement.steps import Moment
from tests.judge.laws import AT_REST
from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import KILLED
from tests.kill_matrix.sites import find_sites
from tests.kill_matrix.stories import STORIES
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    try:
        assert found.start_farmer(), found.log()
        yield found
    finally:
        found.close()


def test_every_site_of_the_source_is_in_the_matrix() -> None:
    told = {site for story in STORIES for site in story.sites}
    assert told == set(find_sites())


def test_whoever_is_killed_goes_on_from_disk(world: World) -> None:
    """One test: what a story leaves behind the next one begins with."""
    for story in STORIES:
        try:
            tell(world, story)
        except BaseException as error:
            error.add_note(f"in the story: {story.name}")
            raise


def tell(world: World, story: Story) -> None:
    """Kill at every site of a story, before and after, then let it come to its end."""
    sites = find_sites()
    for name in story.sites:
        for moment in Moment:
            story.prepare(world)
            killer(story)(world, story, sites[name].point(moment))
            assert world.judge() == [], f"{moment} {name}"
    story.mend(world)
    go_on(world, story)


def killer(story: Story) -> Callable[[World, Story, str], None]:
    """Choose whom to kill."""
    if story.tower:
        return kill_tower
    return kill_farmer if story.farmer else kill_renter


def kill_renter(world: World, story: Story, point: str) -> None:
    ended = world.rent(story.deed, *story.arguments(world), die_at=point)
    assert ended == KILLED, f"{point}: {ended}\n{world.log()}"


def kill_farmer(world: World, story: Story, point: str) -> None:
    """Kill the farmer as it starts, in what it does for the renter, or in what it does of itself."""
    if story.start(world, point):
        world.rent(story.deed, *story.arguments(world))
        if story.order is not None:
            world.order(story.order)
    assert world.farmer_died() == KILLED, f"{point}\n{world.log()}"
    assert world.start_farmer(), world.log()


def kill_tower(world: World, story: Story, point: str) -> None:
    """Kill the tower as it starts, or in what its farmer tells it; the farmer does not mind."""
    held = world.watched()
    if world.start_tower(point):
        world.rent(story.deed, *story.arguments(world))
        assert story.order is None or world.order(story.order)
    assert world.tower.died() == KILLED, f"{point}\n{world.log()}"
    for channel, totals in world.watched().items():
        assert totals >= held.get(channel, totals), f"the tower has gone back after {point}"
    if story.order is not None:
        assert world.start_tower(), world.log()


def go_on(world: World, story: Story) -> None:
    """Do it to the end, let both catch up with the chain, and judge."""
    assert world.rent(story.deed, *story.arguments(world)) == story.ends, world.log()
    assert world.order("follow")
    assert world.rent(deeds.refresh) == 0, world.log()
    world.disturbed = False
    assert world.judge(AT_REST) == []
    story.check(world)
