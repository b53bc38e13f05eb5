"""What a story of the kill matrix is: one deed, the sites on its way, and how to get there again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.kill_matrix.actors import Deed
from tests.kill_matrix.world import World


def nothing(_: World) -> None:
    """Nothing needs to be done."""


@dataclass(frozen=True)
class Story:
    """One deed and the sites on its way. `farmer`: it is the farmer that dies there, of what it does for it;
    `tower`: the watchtower, of what the farmer tells it.

    prepare: brings the world to where the deed goes this way, each time. mend: ends what was prepared.
    start: how the farmer that dies is started. order: what the farmer does by itself after the
    deed. ends: how the deed ends when nobody dies. check: what holds in the end.
    """

    name: str
    sites: tuple[str, ...]
    deed: Deed
    arguments: Callable[[World], tuple[Any, ...]] = lambda _: ()
    farmer: bool = False
    tower: bool = False
    prepare: Callable[[World], None] = nothing
    mend: Callable[[World], None] = nothing
    start: Callable[[World, str | None], bool] = lambda world, die_at: world.start_farmer(die_at)
    order: str | None = None
    ends: int = 0
    check: Callable[[World], None] = nothing
