"""Ended by SIGKILL before, after and within each step on its disk, a farmer loses and leaves nothing."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from node.db import Connection
from node.db.farmer_agreements import (
    FarmerAgreement,
    RenterSums,
    list_agreements,
    load_agreement,
    load_sums,
    save_agreement,
)
from node.farmer.room import footprint, measure_room
from node.farmer.upkeep import reconcile
from node.messages import AgreementState
from node.store_marker import NAME as MARKER
from payments.types import Seconds, to_amount
from tests.node.farmer import mortal
from tests.node.farmer.mortal import GONE, KEPT, LENGTH, NEW, OLD, RENTER, SHORT, Barn, Shard

MOST_STEPS = 60
FEWEST_STEPS = 3
CONTEXT = mortal.fork_server()
EXPIRED, DELETED, LOST = AgreementState.EXPIRED, AgreementState.DELETED, AgreementState.LOST
STORED, PROPOSED = AgreementState.STORED, AgreementState.PROPOSED


async def furnish(barn: Barn) -> None:
    """What most deeds find: three shards, one in the trash."""
    await reconcile(barn.farm)
    await barn.meet()
    for shard in (GONE, OLD, KEPT, SHORT):
        await barn.store(shard)
    await barn.delete(GONE)


async def rot(barn: Barn) -> None:
    await furnish(barn)
    barn.damage(OLD)


async def rot_tree(barn: Barn) -> None:
    await furnish(barn)
    barn.damage(OLD, ".tree")


async def muddle(barn: Barn) -> None:
    """Leave behind what crashes and old books can."""
    await furnish(barn)
    farm, store = barn.farm, barn.farm.store
    store.receive().write(b"the first bytes of a shard")
    store.write_tree(bytes(31) + OLD.name[-1:], store.rebuild(KEPT.name))
    store.put_aside(KEPT.name, store.trash, farm.now())
    await barn.delete(SHORT)
    await barn.store(NEW)
    store.take_back(SHORT.name)
    (lost,) = (one.path for one in store.trash.shards() if one.name == GONE.name)
    lost.unlink()
    store.trash.count()
    await set_state(barn, {OLD: LOST, NEW: PROPOSED, GONE: STORED})


async def set_state(barn: Barn, states: dict[Shard, AgreementState]) -> None:
    def work(conn: Connection) -> None:
        for shard, state in states.items():
            record = load_agreement(conn, shard.name)
            assert record is not None
            signature = None if state is PROPOSED else record.farmer_signature
            save_agreement(conn, replace(record, state=state, farmer_signature=signature))

    await barn.farm.database.write(work)


async def nothing(barn: Barn) -> None:
    """A farmer that has never run."""


BEFORE: dict[str, Callable[[Barn], Awaitable[None]]] = {
    "begin": nothing,
    "begin_again": muddle,
    "scan": rot,
    "mend_tree": rot_tree,
}
AFTER: dict[str, dict[Shard, AgreementState]] = {
    "begin": {},
    "begin_again": {OLD: LOST, NEW: PROPOSED, SHORT: DELETED, GONE: LOST},
    "store_in_place_of_trash": {NEW: STORED},
    "renew": {mortal.AGAIN: STORED},
    "delete": {OLD: DELETED},
    "delete_for_good": {OLD: DELETED},
    "expire": {SHORT: EXPIRED},
    "empty_trash": {},
    "take_back": {GONE: STORED},
    "scan": {OLD: LOST},
    "mend_tree": {},
}
"""What each deed comes to, where that differs from what it found."""
SURE = {"begin": [], "begin_again": [KEPT], "expire": [OLD, KEPT]}
NAMED = "sync mkdir sync_folder make write half rename rename sync_folder commit"
"""All of a shard is on disk before it has its name (its tree's comes first), and that before it is signed."""
TREE = "make write half rename"
ORDER = {
    "store_in_place_of_trash": f"unlink rmdir rmdir commit make write half write half {NAMED}",
    "renew": f"commit {TREE} mkdir sync_folder {TREE} link rename sync_folder commit",
    "take_back": "rename sync_folder commit",
    "delete": "commit unlink mkdir rename",
    "delete_for_good": "commit unlink unlink",
    "begin": "mkdir make write half sync replace sync_folder mkdir make unlink",
}


def make(template: Path, deed: str) -> None:
    async def work() -> None:
        async with Barn.at(template) as barn:
            await BEFORE.get(deed, furnish)(barn)

    template.mkdir()
    asyncio.run(work())


def kill(deed: str, folder: Path, fatal: int) -> bool:
    """Let a farmer die at a step; whether it lived, having taken fewer."""
    child = CONTEXT.Process(target=mortal.do, args=(deed, folder, fatal))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL), (deed, fatal)
    return child.exitcode == 0


def recount(conn: Connection) -> RenterSums:
    """Add up what a renter has here, agreement by agreement."""
    stored = list_agreements(conn, state=STORED)
    reserved = list_agreements(conn, state=PROPOSED)
    return RenterSums(
        RENTER.node,
        stored=len(stored),
        stored_bytes=LENGTH * len(stored),
        reserved_bytes=LENGTH * len(reserved),
        storage_rate=to_amount(sum(one.storage_rate for one in stored)),
        longest_interval=max((one.agreement.audit_interval for one in stored), default=Seconds(0)),
    )


def judge(barn: Barn, rotten: frozenset[bytes]) -> list[FarmerAgreement]:
    """Books and disk agree, and nothing lies about; the agreements that are stored."""
    farm, store = barn.farm, barn.farm.store
    stored = farm.database.read(lambda conn: list_agreements(conn, state=STORED))
    for record in stored:
        if record.id not in rotten:
            store.verify(record.id, record.agreement.data_root)
    assert set(store.shards()) == {record.id for record in stored}
    aside = {path for where in (store.trash, store.quarantine) for path in where.folder.rglob("*")}
    files = {path for path in store.folder.rglob("*") if path.is_file()} - aside
    shards = {store.path(record.id) for record in stored}
    trees = {path.with_suffix(".tree") for path in shards}
    assert shards <= files <= shards | trees | {store.folder / MARKER}
    counted = store.trash.total, store.quarantine.total
    assert (store.trash.count(), store.quarantine.count()) == counted
    room = farm.database.read(lambda conn: measure_room(conn, farm))
    assert room.stored == footprint(LENGTH * len(stored), len(stored))
    assert room.trash + room.quarantine == sum(path.stat().st_size for path in aside if path.is_file())
    sums = farm.database.read(lambda conn: load_sums(conn, RENTER.node))
    assert replace(sums, longest_interval=Seconds(0)) == replace(
        farm.database.read(recount), longest_interval=Seconds(0)
    )
    return stored


async def look(deed: str, folder: Path, *, done: bool) -> None:
    """Start again after a death: nothing acknowledged is lost; the deed, done again, comes to its end."""
    async with Barn.at(folder) as barn:
        await reconcile(barn.farm)
        rotten = frozenset({OLD.name} if deed == "scan" else ())
        stored = {record.id for record in judge(barn, rotten)}
        assert {shard.name for shard in SURE.get(deed, [KEPT, SHORT])} <= stored
        if done:
            assert {shard: barn.state(shard) for shard in AFTER[deed]} == AFTER[deed]
        await again(deed, barn)
        judge(barn, frozenset())
        assert {shard: barn.state(shard) for shard in AFTER[deed]} == AFTER[deed]


async def again(deed: str, barn: Barn) -> None:
    """Do what was begun again, as those do who were not answered."""
    if deed == "take_back" and barn.state(GONE) is STORED:
        return
    await barn.offers.quote()
    await mortal.DEEDS[deed](barn)


@pytest.mark.parametrize("deed", list(mortal.DEEDS))
def test_a_farmer_killed_at_any_step_loses_nothing_and_leaves_nothing(tmp_path: Path, deed: str) -> None:
    template = tmp_path / "template"
    make(template, deed)
    for fatal in range(1, MOST_STEPS):
        folder = tmp_path / str(fatal)
        shutil.copytree(template, folder)
        survived = kill(deed, folder, fatal)
        asyncio.run(look(deed, folder, done=survived))
        if survived:
            taken = (folder / mortal.TAKEN).read_text().split()
            assert len(taken) == fatal - 1 >= FEWEST_STEPS
            assert taken == ORDER.get(deed, " ".join(taken)).split()
            return
        shutil.rmtree(folder)
    pytest.fail(f"{deed} takes more than {MOST_STEPS} steps")
