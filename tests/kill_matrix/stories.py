"""The stories: which sites lie on the way of what a renter or farmer does, and how to get there again.

`STORIES` is the enumeration: every site of the source stands in at least one of them.
"""

import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.tower.tower import KEPT_SECONDS
from settlement.deployment_proxy import PROXY
from settlement.steps import Moment
from tests.kill_matrix import deeds
from tests.kill_matrix.actors import REFUSED, Deed
from tests.kill_matrix.sites import find_sites
from tests.kill_matrix.world import World

DEAR: Final = 400 * 10**9
CHEAP: Final = 10**9
HOUR: Final = 3_600
BRIEF: Final = 5_500
"""So long after its start an agreement of two hours wants to be renewed."""
KILLED: Final = -signal.SIGKILL


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


def url(world: World) -> tuple[str]:
    return (world.url,)


def home(world: World) -> tuple[Any, ...]:
    return (world.home.root,)


def do(world: World, deed: Deed, *arguments: Any, ends: int = 0) -> None:  # noqa: ANN401
    """Have the renter do something on the way."""
    assert world.rent(deed, *arguments) == ends, world.log()


# What is prepared


def meet(world: World) -> None:
    do(world, deeds.meet, world.url)


def put(world: World) -> None:
    do(world, deeds.put)


def put_and_damage(world: World) -> None:
    """Store one more file, and lose its shard."""
    known = set(world.home.farm_shards.rglob("*.shard"))
    put_newest(world)
    (shard,) = set(world.home.farm_shards.rglob("*.shard")) - known
    world.robbed |= {bytes.fromhex(shard.stem)}
    shard.unlink()


def unfinished_put(world: World) -> None:
    """Let the renter die when all is stored but the file."""
    world.newest = secrets.token_hex(8)
    point = find_sites()["commit node.renter.upload:Uploader._book"].point(Moment.AFTER)
    assert world.rent(deeds.put, world.newest, die_at=point) == KILLED


def put_delete_and_stop(world: World) -> None:
    """Let there be something in the trash of a farmer that is at rest."""
    start(world)
    put_newest(world)
    do(world, deeds.rm_newest, world.newest)
    stop(world)


def delete_long_ago(world: World) -> None:
    """Let there be an agreement that ended before anybody can remember."""
    start(world)
    put_newest(world)
    do(world, deeds.rm_newest, world.newest)
    assert world.tamper(world.money, "UPDATE farmer_agreement SET since = 1 WHERE state = 'DELETED'")


def put_and_freeze(world: World) -> None:
    """Store one more file with a farmer that then believes its channels to be frozen."""
    start(world)
    put_newest(world)
    freeze(world)


def put_newest(world: World) -> None:
    world.newest = secrets.token_hex(8)
    do(world, deeds.put, world.newest)


def freeze_again(world: World) -> None:
    start(world)
    freeze(world)


def freeze(world: World) -> None:
    assert world.tamper(world.money, "UPDATE channels SET status = 'frozen' WHERE status = 'funded'")


def start(world: World) -> None:
    assert world.start_farmer(), world.log()


def stop(world: World) -> None:
    world.stop_farmer()


def earn(world: World) -> None:
    """Let there be something to claim."""
    do(world, deeds.audit)


def unfinished_audit(world: World) -> None:
    """Let the renter die over a proof that it has seen."""
    earn(world)
    point = find_sites()["commit node.renter.examiner:Examiner._proven"].point(Moment.BEFORE)
    assert world.rent(deeds.audit, die_at=point) == KILLED


def prove_to_the_contract(world: World) -> None:
    """Let the farmer of a closing channel claim by a proof that the renter has seen and not written down."""
    if unheard(world):
        return
    unfinished_audit(world)
    do(world, deeds.close)
    assert world.order("follow")
    assert world.order("claim_all")
    assert unheard(world)


def unheard(world: World) -> list[bytes]:
    """The channels out of which more was claimed than the renter believes to have been earned."""
    chain, (renter,) = world.seen.replay(), world.look().renters
    return [name for name, side in renter.sides.items() if chain[name].claimed > side.accepted]


def open_again(world: World) -> None:
    do(world, deeds.fund)
    do(world, deeds.present)


def heard(world: World) -> None:
    """The audit has passed, and nothing else is owed for it."""
    assert not unheard(world)
    assert not any(audit.open for renter in world.look().renters for audit in renter.audits)


def late(world: World) -> None:
    """Let more audits be missed than the farmer lends."""
    if world.skew:
        return  # it still owes
    put_newest(world)
    world.skew += 5 * HOUR
    world.extras += 10**18
    start(world)


def dear(world: World) -> None:
    world.on_chain(("anvil_setNextBlockBaseFeePerGas", hex(DEAR)), ("evm_mine",))


def cheap(world: World) -> None:
    world.on_chain(("anvil_setNextBlockBaseFeePerGas", hex(CHEAP)), ("evm_mine",))


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


def give(world: World) -> None:
    """Send a gift, which waits in the pool."""
    world.gifts += 1
    world.on_chain(("evm_setAutomine", False))
    do(world, deeds.give_gifts, world.gifts)


def give_too_dearly(world: World) -> None:
    give(world)
    do(world, deeds.find_too_dear)


def lose_nonce(world: World) -> None:
    """Send two gifts, and lose the first of them: in the pool, and in the books."""
    world.gifts += 2
    world.on_chain(("evm_setAutomine", False))
    do(world, deeds.give_gifts, world.gifts - 1, world.gifts)
    world.on_chain(("anvil_dropAllTransactions",))
    first = "(SELECT id FROM transactions WHERE value = ?)"
    money, value = world.renter / "money.db", str(world.gifts - 1)
    assert world.tamper(money, f"DELETE FROM attempts WHERE transaction_id = {first}", value)  # noqa: S608
    assert world.tamper(money, "DELETE FROM transactions WHERE value = ?", value)
    world.disturbed, world.before = True, None


def mine(world: World) -> None:
    world.on_chain(("evm_setAutomine", True), ("evm_mine",))


def forget(world: World) -> None:
    do(world, deeds.forget)


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


def withdrawn(world: World) -> None:
    """Let a channel be spent that the copy believes to be open."""
    if not world.withdrawn:
        forget(world)
        world.withdraw_coldly()
        world.withdrawn = True


def last_longer(world: World) -> None:
    """Let the renter want its deposits to last longer than they do."""
    world.days += 30


def earn_watched(world: World) -> None:
    """Let there be something to tell a tower that listens."""
    earn(world)
    if not world.tower.alive:
        assert world.start_tower()


def hold_newest(world: World) -> None:
    """A tower holds the newest vouchers of its farmer once it was told."""
    assert world.order("tell_towers")
    (farmer,) = world.look().farmers
    watched = world.watched()
    assert watched
    for channel, totals in watched.items():
        assert totals == (farmer.sides[channel].paid, farmer.sides[channel].proven)


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


OUTBOX: Final = (
    "commit settlement.outbox:Outbox.submit",
    "commit settlement.outbox:Outbox._sign_and_broadcast",
    "broadcast settlement.outbox:Outbox._broadcast",
    "commit settlement.outbox:Outbox._end",
)

STORIES: Final = (
    Story("leave", ("commit node.renter.peers:Peers.remove",), deeds.leave, prepare=meet),
    Story(
        "meet",
        (
            "commit settlement.database:Database.__init__",
            "send node.renter.peers:Peers._meet",
            "commit node.renter.peers:Peers._meet",
        ),
        deeds.meet,
        url,
    ),
    Story(
        "be met",
        (
            "commit settlement.database:Database.__init__",
            "answer node",
            "commit node.farmer.offer:Offers.record",
            "commit node.farmer.offer:Offers._issue",
        ),
        deeds.meet,
        url,
        farmer=True,
    ),
    Story(
        "fund",
        ("commit node.renter.funding:Funding._expect", *OUTBOX, "commit settlement.watcher:Watcher._apply"),
        deeds.fund,
    ),
    Story(
        "present",
        ("send node.renter.channels:Channels.present", "commit node.renter.channels:Channels.reconcile"),
        deeds.present,
    ),
    Story(
        "be shown a channel",
        ("answer open_channel", "commit node.farmer.admission:admit_channel"),
        deeds.present,
        farmer=True,
    ),
    Story(
        "ask",
        ("send node.renter.channels:Channels.ask", "commit node.renter.channels:Channels.reconcile"),
        deeds.ask,
    ),
    Story("be asked", ("answer channel",), deeds.ask, farmer=True),
    Story(
        "put",
        (
            "commit node.renter.put:Putter._begin",
            "commit node.renter.upload:Uploader._begin",
            "send node.renter.courier:Courier._exchange",
            "commit node.renter.upload:Uploader._book",
            "commit node.renter.put:Putter._finish",
        ),
        deeds.put,
    ),
    Story(
        "store",
        (
            "commit node.farmer.agreements:_propose",
            "answer receive_shard",
            "commit node.farmer.agreements:countersign",
        ),
        deeds.put,
        farmer=True,
    ),
    Story("be proposed to", ("answer propose",), deeds.propose, farmer=True),
    Story(
        "go on with a put",
        ("commit node.renter.resume:Kept.of", "commit node.renter.resume:Kept.forget"),
        deeds.put,
        lambda world: (world.newest,),
        prepare=unfinished_put,
    ),
    Story(
        "audit",
        (
            "commit node.renter.examiner:Examiner._open",
            "commit node.renter.examiner:Examiner._send",
            "send node.renter.examiner:Examiner._send",
            "commit node.renter.examiner:Examiner._proven",
            "commit node.renter.payments:Payments._pay",
            "send node.renter.accounts:Accounts.deliver",
            "commit node.renter.accounts:Accounts.deliver",
        ),
        deeds.audit,
        prepare=earn,
    ),
    Story(
        "be audited",
        (
            "answer audit",
            "commit node.farmer.auditor:_keep",
            "answer take_voucher",
            "commit node.farmer.vouchers:VoucherQueue._serve",
        ),
        deeds.audit,
        farmer=True,
        prepare=earn,
    ),
    Story(
        "learn a proof",
        ("commit node.renter.channels:Channels.learn_proof",),
        deeds.audit,
        prepare=unfinished_audit,
    ),
    Story(
        "hear of a proof by the chain",
        ("commit node.renter.channels:Channels.refresh",),
        deeds.refresh,
        prepare=prove_to_the_contract,
        mend=open_again,
        check=heard,
    ),
    Story(
        "get",
        (
            "commit node.renter.accounts:Accounts.issue_read",
            "send node.renter.reads:Reads.step",
            "commit node.renter.accounts:Accounts.record_read",
        ),
        deeds.get,
    ),
    Story(
        "sell a read", ("answer read_shard", "commit node.farmer.downloads:sell_read"), deeds.get, farmer=True
    ),
    Story(
        "remove",
        (
            "commit node.renter.deletions:Deletions.give_up",
            "send node.renter.deletions:Deletions._delete",
            "commit node.renter.deletions:Deletions._tell",
        ),
        deeds.rm,
        prepare=put,
    ),
    Story(
        "delete",
        ("answer delete", "commit node.farmer.agreements:end"),
        deeds.rm,
        farmer=True,
        prepare=put,
        mend=put,
    ),
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
    Story(
        "hear nothing",
        ("commit node.renter.examiner:Examiner._unanswered",),
        deeds.audit,
        prepare=stop,
        mend=start,
    ),
    Story(
        "find it lost",
        ("commit node.renter.examiner:Examiner._conclude",),
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
    Story(
        "find gas too dear",
        ("commit settlement.outbox:Outbox._postpone",),
        deeds.fund_dearly,
        prepare=dear,
        mend=cheap,
    ),
    Story("ask for nonsense", ("commit settlement.outbox:Outbox._end",), deeds.submit_nonsense),
    Story(
        "take back",
        ("commit settlement.outbox:Outbox._turn",),
        deeds.take_back,
        lambda world: (world.gifts,),
        prepare=give,
        mend=mine,
    ),
    Story(
        "find it affordable",
        ("commit settlement.outbox:Outbox._resumed",),
        deeds.refresh,
        prepare=give_too_dearly,
        mend=mine,
    ),
    Story(
        "fill a gap",
        ("commit settlement.outbox:Outbox._fill_gaps",),
        deeds.refresh,
        prepare=lose_nonce,
        mend=mine,
    ),
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
        "forget what is old",
        ("commit node.farmer.upkeep:forget",),
        deeds.ask,
        farmer=True,
        prepare=delete_long_ago,
    ),
    Story(
        "pay for missed audits",
        ("commit node.renter.accounts:Accounts._pay_arrears",),
        deeds.get,
        lambda world: (world.newest,),
        prepare=late,
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
