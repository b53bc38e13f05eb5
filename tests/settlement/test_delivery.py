"""However the chain's news arrives, what we hold in the end is what a reading from the first block finds."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from web3.types import RPCEndpoint

from settlement import watcher as watcher_module
from settlement.client import Chain
from settlement.database import Database
from settlement.errors import ChainUnreachable, Reorganised, Reverted
from settlement.local_chain import LocalChain, mine
from settlement.tables import TABLES
from settlement.watcher import Watcher
from settlement.watcher_store import Cursor, load_cursor, save_cursor
from tests.settlement.support import World, deep, held, payee, reorganise, run, world
from tests.settlement.warped import Warp, Warped, down, logs, several

ALICE, BOB, CAROL = payee(1), payee(2), payee(3)
CONFIRMATIONS = 3


@dataclass
class Scene:
    """A watcher that reads a chain through one endpoint, which may be warped."""

    world: World
    chain: Chain
    provider: Warped
    database: Database

    def watcher(self) -> Watcher:
        return Watcher(self.database, self.chain, payees=[ALICE, BOB, CAROL])

    async def poll(self) -> None:
        """Look at the chain; what cannot be read now is read the next time."""
        with suppress(ChainUnreachable, Reorganised):
            await self.watcher().poll()


Disturbance = Callable[[Scene], Awaitable[None]]


def delivered(warp: Warp) -> Disturbance:
    async def disturb(scene: Scene) -> None:
        scene.provider.warp = warp

    return disturb


def every_second(warp: Warp) -> Warp:
    """A node that answers wrongly at every second poll: its logs are asked for once a poll or more."""
    asked = 0

    def sometimes(method: str, params: Any, result: Any) -> Any:  # noqa: ANN401
        nonlocal asked
        asked += method == "eth_getLogs"
        return warp(method, params, result) if method == "eth_getLogs" and asked % 2 else result

    return sometimes


async def replayed(scene: Scene) -> None:
    """Everything is read again from the first block."""
    start = scene.chain.deployment.deployed_block - 1
    scene.database.write_sync(lambda conn: save_cursor(conn, Cursor(start, start)))


async def half_replayed(scene: Scene) -> None:
    def back(conn: Any) -> None:  # noqa: ANN401
        cursor = load_cursor(conn)
        if cursor is not None:
            save_cursor(conn, Cursor(cursor.seen - 2, cursor.confirmed - 2))

    scene.database.write_sync(back)


def reorganised(depth: int) -> Disturbance:
    async def disturb(scene: Scene) -> None:
        await reorganise(scene.world.chain.rpc, depth)

    return disturb


async def rolled_back(scene: Scene) -> None:
    rpc = scene.world.chain.rpc
    await rpc.provider.make_request(RPCEndpoint("anvil_rollback"), [4])
    await scene.poll()  # the node seems to be behind
    await mine(rpc, 5)  # other blocks in their place


async def all_at_once(scene: Scene) -> None:
    for disturb in (replayed, reorganised(7), delivered(every_second(logs(lambda found: found[::-1] * 2)))):
        await disturb(scene)


MATRIX: dict[str, Disturbance] = {
    "a batch skipped": delivered(every_second(logs(lambda _: []))),
    "an event skipped": delivered(every_second(logs(lambda found: found[1:]))),
    "a request unanswered": delivered(every_second(down)),
    "events duplicated": delivered(logs(lambda found: found * 2)),
    "events reordered": delivered(logs(lambda found: found[::-1])),
    "all batches replayed": replayed,
    "the last batches replayed": half_replayed,
    "the tip reorganised": reorganised(1),
    "up to the confirmed reorganised": reorganised(CONFIRMATIONS - 1),
    "the confirmed reorganised": reorganised(6),
    "rolled back": rolled_back,
    "all at once": all_at_once,
}


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[tuple[Database, Database]]:
    live, replay = (Database.at(tmp_path / name, TABLES) for name in ("live.db", "replay.db"))
    yield live, replay
    for one in (live, replay):
        one.close()


async def live_on(scene: Scene, disturb: Disturbance) -> None:
    """Three channels in the state they can be in; the disturbance comes at every step."""
    w = scene.world
    await w.fund((ALICE, 100), (BOB, 100), (CAROL, 100))
    await mine(w.chain.rpc, 8)  # no reorganisation reaches the first deposit
    await scene.poll()
    for step in (
        w.fund((ALICE, 200)),
        w.push((ALICE, 30), (BOB, 60)),
        w.request_close(CAROL),
        w.fund((BOB, 150)),
        w.request_close(BOB),
        w.push((BOB, 90)),
    ):
        with suppress(Reverted):  # what a reorganisation undid may be missing
            await step
        await scene.poll()
        await disturb(scene)
        await scene.poll()


@pytest.mark.parametrize("case", MATRIX)
def test_state_equals_a_replay_from_genesis(
    instant_anvil: LocalChain,
    databases: tuple[Database, Database],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr(watcher_module, "PAGE", 4)
    live, replay = databases

    async def story() -> None:
        async with world(instant_anvil.url) as w:
            chain, (provider,) = several(w, None)
            async with chain:
                scene = Scene(w, deep(w, CONFIRMATIONS, chain), provider, live)
                await live_on(scene, MATRIX[case])
                await mine(w.chain.rpc, CONFIRMATIONS)
                provider.warp = None
                await scene.poll()
                await Watcher(replay, deep(w, CONFIRMATIONS), payees=[ALICE, BOB, CAROL]).poll()
                assert held(live) == held(replay)
                assert held(live).keys() == {w.id(who) for who in (ALICE, BOB, CAROL)}

    run(story())
