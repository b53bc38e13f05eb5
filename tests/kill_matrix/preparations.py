"""What stories of more than one kind prepare: the world is brought to where a deed goes a certain way."""

import secrets
import signal
from typing import Any, Final

from tests.kill_matrix import deeds
from tests.kill_matrix.actors import Deed
from tests.kill_matrix.world import World

DEAR: Final = 400 * 10**9
KILLED: Final = -signal.SIGKILL
OUTBOX: Final = (
    "commit settlement.outbox:Outbox.submit",
    "commit settlement.outbox:Outbox._sign_and_broadcast",
    "broadcast settlement.outbox:Outbox._broadcast",
    "commit settlement.outbox:Outbox._end",
)


def do(world: World, deed: Deed, *arguments: Any, ends: int = 0) -> None:  # noqa: ANN401
    """Have the renter do something on the way."""
    assert world.rent(deed, *arguments) == ends, world.log()


def put_newest(world: World) -> None:
    world.newest = secrets.token_hex(8)
    do(world, deeds.put, world.newest)


def start(world: World) -> None:
    assert world.start_farmer(), world.log()


def stop(world: World) -> None:
    world.stop_farmer()


def earn(world: World) -> None:
    """Let there be something to claim."""
    do(world, deeds.audit)


def forget(world: World) -> None:
    do(world, deeds.forget)


def earn_watched(world: World) -> None:
    """Let there be something to tell a tower that listens."""
    earn(world)
    if not world.tower.alive:
        assert world.start_tower()
