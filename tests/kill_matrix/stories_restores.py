"""The stories of restores: what lies on the shelf, and what a node that forgot is reminded of."""

from typing import Final

from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import do, forget, put_newest, start, stop
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World


def make_farmer_forget(world: World) -> None:
    stop(world)
    do(world, deeds.make_farmer_forget, world.money)


def forget_and_start(world: World) -> None:
    make_farmer_forget(world)
    start(world)


def forget_newest(world: World) -> None:
    """Let the farmer go on from a copy of its books that is older than its newest agreement."""
    stop(world)
    world.keep_books()
    start(world)
    put_newest(world)
    stop(world)
    world.lose_books()
    do(world, deeds.make_farmer_forget, world.money)


def forget_newest_and_start(world: World) -> None:
    forget_newest(world)
    start(world)


RESTORES: Final = (
    Story(
        "shelve",
        ("send node.renter.shelf:Shelf._give", "commit node.renter.shelf:Shelf._give"),
        deeds.put,
    ),
    Story(
        "keep a shelf",
        ("answer shelve", "commit node.farmer.shelf:keep"),
        deeds.put,
        farmer=True,
    ),
    Story("ask for the shelf", ("commit node.renter.shelf:Shelf.ask",), deeds.ask_shelf),
    Story("be restored", ("commit node.cli.exports:_mark",), deeds.forget),
    Story(
        "reconcile",
        (
            "commit node.renter.channels:Channels.refresh",
            "send node.renter.shelf:Shelf._collect",
            "send node.renter.shelf:Shelf._collect#2",
            "commit node.renter.shelf:Shelf._take",
            "commit node.renter.shelf:Shelf._collect",
        ),
        deeds.reconcile,
        prepare=forget,
    ),
    Story("show the shelf", ("answer shelf", "answer shelved"), deeds.reconcile, farmer=True, prepare=forget),
    Story(
        "restore the farmer",
        ("commit node.cli.exports:_mark#2",),
        deeds.make_farmer_forget,
        lambda world: (world.money,),
        prepare=stop,
        mend=start,
    ),
    Story(
        "hand over",
        ("send node.renter.channels:Channels._hand_over",),
        deeds.ask,
        prepare=forget_and_start,
    ),
    Story(
        "believe again",
        ("commit node.farmer.restored:note_followed", "commit node.farmer.restored:thaw_channel"),
        deeds.ask,
        farmer=True,
        prepare=make_farmer_forget,
    ),
    Story(
        "remind",
        ("send node.renter.accounts:Accounts._hand_back",),
        deeds.audit,
        prepare=forget_newest_and_start,
    ),
    Story(
        "be reminded",
        ("answer take_back", "commit node.farmer.agreements:countersign"),
        deeds.audit,
        farmer=True,
        prepare=forget_newest,
    ),
)
