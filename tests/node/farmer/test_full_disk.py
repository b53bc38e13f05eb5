"""A farmer whose disk is full acknowledges nothing that it has not written; with room again it goes on."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.agreement import Agreement
from tests.disks import files_of_at_most
from tests.node.farmer.support import Renter, Rig, content, refusal, run

DATA = content(60_000)
OTHER = content(60_000, "another shard")
PAID = 10**6


@dataclass(frozen=True)
class Scene:
    """A renter with a stored shard and another one agreed upon."""

    renter: Renter
    stored: Agreement
    proposed: Agreement
    wanted: Agreement


Act = Callable[[Scene], Coroutine[Any, Any, object]]


async def audit(scene: Scene) -> None:
    challenge = scene.renter.challenge([scene.stored])
    await scene.renter.audit(challenge, scene.renter.conditional(challenge, PAID + scene.stored.step))


ACTS: dict[str, Act] = {
    "voucher": lambda scene: scene.renter.pay(scene.renter.voucher(2 * PAID)),
    "audit": audit,
    "agreement": lambda scene: scene.renter.propose(scene.wanted),
    "shard": lambda scene: scene.renter.upload(scene.proposed, OTHER),
    "read": lambda scene: scene.renter.read(scene.stored, 0, 1024, scene.renter.voucher(2_000 * PAID)),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nothing_is_acknowledged_that_is_not_on_disk(tmp_path: Path, act: Act) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            stored = await renter.store(DATA)
            before = await renter.pay(renter.voucher(PAID))
            proposed, wanted = [await renter.agree(OTHER, step=stored.step + n) for n in (1, 2)]
            await renter.propose(proposed)
            scene = Scene(renter, stored, proposed, wanted)
            with files_of_at_most(4_096):
                refused = await refusal(act(scene))
            assert refused.status in (503, 507)
            await rig.restart()
            assert await renter.see() == before
            await act(scene)

    run(tmp_path, story)
