"""The stories of troubles with a farmer: it is silent, loses shards, or takes its channels for frozen."""

from typing import Final

from tests.kill_matrix import deeds
from tests.kill_matrix.actors import REFUSED
from tests.kill_matrix.preparations import do, put_newest, start, stop
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World


def put_and_damage(world: World) -> None:
    """Store one more file, and lose its shard."""
    known = set(world.home.farm_shards.rglob("*.shard"))
    put_newest(world)
    (shard,) = set(world.home.farm_shards.rglob("*.shard")) - known
    world.robbed |= {bytes.fromhex(shard.stem)}
    shard.unlink()


def put_delete_and_stop(world: World) -> None:
    """Let there be something in the trash of a farmer that is at rest."""
    start(world)
    put_newest(world)
    do(world, deeds.rm_newest, world.newest)
    stop(world)


def put_and_freeze(world: World) -> None:
    """Store one more file with a farmer that then believes its channels to be frozen."""
    start(world)
    put_newest(world)
    freeze(world)


def freeze_again(world: World) -> None:
    start(world)
    freeze(world)


def freeze(world: World) -> None:
    assert world.tamper(world.money, "UPDATE channels SET status = 'frozen' WHERE status = 'funded'")


TROUBLES: Final = (
    Story(
        "hear nothing",
        ("commit node.renter.conclusions:Conclusions.note_unanswered",),
        deeds.audit,
        prepare=stop,
        mend=start,
    ),
    Story(
        "find it lost",
        ("commit node.renter.conclusions:Conclusions.conclude",),
        deeds.audit,
        prepare=put_and_damage,
    ),
    Story(
        "lose a shard",
        ("commit node.farmer.losses:give_up",),
        deeds.audit,
        farmer=True,
        prepare=put_and_damage,
    ),
    Story(
        "take it back from the trash",
        ("commit node.farmer.trash:_book",),
        deeds.restore_trash,
        lambda world: (world.money, world.home.farm_shards),
        prepare=put_delete_and_stop,
        mend=start,
    ),
    Story("end what was taken back", ("answer delete",), deeds.end_again, farmer=True),
    Story(
        "read what is lost",
        ("commit node.renter.download:Downloader._lost",),
        deeds.get,
        lambda world: (world.newest,),
        prepare=put_and_damage,
        ends=REFUSED,
    ),
    Story(
        "read from the frozen",
        ("commit node.renter.download:Downloader._refused",),
        deeds.get,
        lambda world: (world.newest,),
        prepare=put_and_freeze,
        mend=start,
    ),
    Story(
        "be refused",
        ("commit node.renter.courier:Courier.drop", "commit node.renter.courier:Courier.send"),
        deeds.put,
        prepare=freeze_again,
        mend=start,
    ),
)
