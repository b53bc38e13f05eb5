"""The stories of news from the chain and of time: blocks replaced, channels unknown or spent, old debts."""

from typing import Final

from node.tower.tower import KEPT_SECONDS
from settlement.deployment_proxy import PROXY
from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import do, earn_watched, forget, put_newest, start
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World

HOUR: Final = 3_600


def delete_long_ago(world: World) -> None:
    """Let there be an agreement that ended before anybody can remember."""
    start(world)
    put_newest(world)
    do(world, deeds.rm_newest, world.newest)
    assert world.tamper(world.money, "UPDATE farmer_agreement SET since = 1 WHERE state = 'DELETED'")


def late(world: World) -> None:
    """Let more audits be missed than the farmer lends."""
    if world.skew:
        return  # it still owes
    put_newest(world)
    world.skew += 5 * HOUR
    world.extras += 10**18
    start(world)


def reorganise(world: World) -> None:
    """Fund, and lose the block it is in."""
    do(world, deeds.refresh)
    do(world, deeds.fund)
    world.disturbed, world.before = True, None
    world.on_chain(("anvil_reorg", 1, []), ("evm_mine",))


def cold_channel(world: World) -> None:
    world.life += 1
    world.fund_coldly(world.life)


def unknown_channel(world: World) -> None:
    """Let there be a channel that the renter knows and the farmer does not."""
    cold_channel(world)
    do(world, deeds.refresh)


def meddled(world: World, die_at: str | None) -> bool:
    return world.start_farmer(die_at, meddler=world.stranger.secret)


def withdrawn(world: World) -> None:
    """Let a channel be spent that the copy believes to be open."""
    if not world.withdrawn:
        forget(world)
        world.withdraw_coldly()
        world.withdrawn = True


def close_long_ago(world: World) -> None:
    """Let a tower watch a channel that has closed, and a month pass."""
    if not world.tower_skew:
        earn_watched(world)
        assert world.order("tell_towers")
        do(world, deeds.close)
        assert world.order("follow")
        assert world.order("claim_all")
        world.tower_skew = KEPT_SECONDS + 2 * world.deployment.challenge_period
    world.tower.stop()


def watch_nothing(world: World) -> None:
    assert world.start_tower()
    assert world.tower.order("look")
    assert world.watched() == {}


def without_proxy(world: World) -> None:
    world.on_chain(("anvil_setCode", "0x" + PROXY.hex(), "0x"), ("anvil_setNonce", "0x" + PROXY.hex(), "0x0"))


CHAIN_NEWS: Final = (
    Story(
        "see blocks replaced",
        ("commit settlement.watcher:Watcher._rewind", "commit settlement.watcher:Watcher._reread_frozen"),
        deeds.refresh,
        prepare=reorganise,
    ),
    Story("send it again", ("commit settlement.outbox:Outbox._reopen",), deeds.refresh, prepare=reorganise),
    Story("refresh", ("commit settlement.watcher:Watcher.acknowledge",), deeds.refresh),
    Story(
        "adopt",
        ("commit node.renter.channels:Channels._adopt",),
        deeds.refresh,
        prepare=cold_channel,
    ),
    Story(
        "see it closed meanwhile",
        ("commit node.farmer.admission:_look_again",),
        deeds.present,
        farmer=True,
        prepare=unknown_channel,
        start=meddled,
    ),
    Story(
        "look after debts",
        ("commit node.farmer.upkeep:_watch_debt",),
        deeds.ask,
        farmer=True,
        prepare=late,
    ),
    Story(
        "pay for missed audits",
        ("commit node.renter.accounts:Accounts._pay_arrears",),
        deeds.get,
        lambda world: (world.newest,),
        prepare=late,
    ),
    Story(
        "forget what is old",
        ("commit node.farmer.upkeep:forget",),
        deeds.ask,
        farmer=True,
        prepare=delete_long_ago,
    ),
    Story(
        "see it withdrawn",
        ("commit node.renter.run:Run._meet",),
        deeds.reconcile,
        prepare=withdrawn,
    ),
    Story(
        "forget the closed",
        ("commit node.tower.tower:Tower._due",),
        deeds.refresh,
        tower=True,
        prepare=close_long_ago,
        check=watch_nothing,
    ),
    Story(
        "deploy",
        ("broadcast settlement.transactions:send_now", "broadcast settlement.deployment_proxy:install"),
        deeds.deploy,
        prepare=without_proxy,
    ),
)
