"""The stories of a file's upkeep: it is kept, its agreements renewed, its lost shards made anew."""

import secrets
from typing import Final

from settlement.steps import Moment
from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import KILLED, do, put_newest, start
from tests.kill_matrix.sites import find_sites
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World

BRIEF: Final = 5_500
"""So long after its start an agreement of two hours wants to be renewed."""


def pay_and_put(world: World) -> None:
    """Store one more file, once nothing is owed any more."""
    do(world, deeds.audit)
    put_newest(world)


def put_briefly(world: World) -> None:
    """Let an agreement be about to end, of a file that is to be kept; what is owed is paid."""
    do(world, deeds.audit)
    do(world, deeds.put_briefly, secrets.token_hex(8))
    world.skew += BRIEF
    start(world)
    do(world, deeds.audit)


def lose_a_shard(world: World) -> None:
    """Store a file with two farmers, and lose sight of what one of them has."""
    do(world, deeds.audit)
    if not world.spare:
        world.spare = world.start_spare()
        do(world, deeds.fund_one, world.spare)
    world.newest = secrets.token_hex(8)
    do(world, deeds.put_twice, world.newest)
    file = "(SELECT file_id FROM renter_file WHERE name = ?)"
    statement = f"DELETE FROM renter_shard WHERE shard = 1 AND file_id = {file}"  # noqa: S608
    assert world.tamper(world.renter / "money.db", statement, world.newest)


def lose_and_half_repair(world: World) -> None:
    """Let the renter die over a shard that was made anew and has no place yet."""
    lose_a_shard(world)
    point = find_sites()["commit node.renter.repair:Repairs._succeed"].point(Moment.BEFORE)
    assert world.rent(deeds.repair, world.newest, die_at=point) == KILLED


def newest(world: World) -> tuple[str]:
    return (world.newest,)


UPKEEP: Final = (
    Story("keep", ("commit node.renter.files:Files.keep",), deeds.keep, newest, prepare=pay_and_put),
    Story(
        "renew",
        (
            "commit node.renter.renewals:Renewals._renew",
            "send node.renter.renewals:Renewals._propose",
            "commit node.renter.renewals:Renewals._renew#2",
            "commit node.renter.renewals:Renewals._succeed",
        ),
        deeds.renew,
        prepare=put_briefly,
    ),
    Story(
        "repair",
        (
            "commit node.renter.repair:Repairs._reserve",
            "commit node.renter.upload:Uploader._redirect",
            "commit node.renter.repair:Repairs._succeed",
            "commit node.renter.repair:Repairs._mend",
        ),
        deeds.repair,
        newest,
        prepare=lose_a_shard,
    ),
    Story(
        "go on with half a repair",
        ("commit node.renter.repair:Repairs._finish",),
        deeds.repair,
        newest,
        prepare=lose_and_half_repair,
    ),
)
