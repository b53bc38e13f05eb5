"""The stories of who looks on: a farmer's owner, its tower, its meters, and who watches over deposits."""

from typing import Any, Final

from tests.kill_matrix import deeds
from tests.kill_matrix.actors import REFUSED
from tests.kill_matrix.preparations import OUTBOX, earn, earn_watched
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World


def home(world: World) -> tuple[Any, ...]:
    return (world.home.root,)


def last_longer(world: World) -> None:
    """Let the renter want its deposits to last longer than they do."""
    world.days += 30


def hold_newest(world: World) -> None:
    """A tower holds the newest vouchers of its farmer once it was told."""
    assert world.order("tell_towers")
    (farmer,) = world.look().farmers
    watched = world.watched()
    assert watched
    for channel, totals in watched.items():
        assert totals == (farmer.sides[channel].paid, farmer.sides[channel].proven)


ONLOOKERS: Final = (
    Story("ask how it is", ("send node.cli.farm_owner:ask_status",), deeds.own_status, home),
    Story("tell the owner", ("answer status",), deeds.own_status, home, farmer=True),
    Story("have it claim", ("send node.cli.farm_owner:ask_claim",), deeds.own_claim, home, prepare=earn),
    Story(
        "claim",
        (
            "answer claim",
            *OUTBOX,
            "commit node.farmer.collector:Collector._record",
            "commit settlement.watcher:Watcher._apply",
        ),
        deeds.own_claim,
        home,
        farmer=True,
        prepare=earn,
    ),
    Story("have it read all", ("send node.cli.farm_owner:ask_scan",), deeds.own_scan, home),
    Story("read all", ("answer scan",), deeds.own_scan, home, farmer=True),
    Story("have it take back", ("send node.cli.farm_owner:ask_take_back",), deeds.own_trash, home),
    Story("take back for the owner", ("answer restore_trash",), deeds.own_trash, home, farmer=True),
    Story(
        "tell the tower",
        ("send node.farmer.towers:TowerPost._serve",),
        deeds.audit,
        farmer=True,
        prepare=earn_watched,
        order="tell_towers",
    ),
    Story(
        "watch",
        ("answer watch", "commit node.tower.tower:Tower.watch"),
        deeds.audit,
        tower=True,
        prepare=earn_watched,
        order="tell_towers",
        check=hold_newest,
    ),
    Story(
        "top up",
        (
            "commit node.renter.top_ups:TopUps._send",
            "commit node.renter.funding:Funding._expect",
            *OUTBOX,
        ),
        deeds.run_with_top_ups,
        lambda world: (world.days,),
        prepare=last_longer,
    ),
    Story("be seen", ("answer agreement",), deeds.see_agreement, farmer=True),
    Story(
        "be measured",
        ("answer metrics",),
        deeds.read_metrics,
        lambda world: (world.config.metrics_port,),
        farmer=True,
    ),
    Story("be well", ("answer health",), deeds.ask_health, farmer=True, ends=REFUSED),
    Story("count", ("commit node.db.stats:Statistics.flush",), deeds.audit, farmer=True, order="sweep"),
)
