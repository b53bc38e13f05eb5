"""The stories of a deal: two meet, a channel is funded, files are put, audited, read and removed."""

import secrets
from typing import Final

from settlement.steps import Moment
from tests.kill_matrix import deeds
from tests.kill_matrix.preparations import KILLED, OUTBOX, do, earn
from tests.kill_matrix.sites import find_sites
from tests.kill_matrix.story import Story
from tests.kill_matrix.world import World


def url(world: World) -> tuple[str]:
    return (world.url,)


def meet(world: World) -> None:
    do(world, deeds.meet, world.url)


def put(world: World) -> None:
    do(world, deeds.put)


def unfinished_put(world: World) -> None:
    """Let the renter die when all is stored but the file."""
    world.newest = secrets.token_hex(8)
    point = find_sites()["commit node.renter.upload:Uploader._book"].point(Moment.AFTER)
    assert world.rent(deeds.put, world.newest, die_at=point) == KILLED


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


DEALS: Final = (
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
)
