"""The outbox and external signers: whoever holds the key may take its time, refuse, or be down."""

import asyncio
import threading

import pytest

from settlement.database import Database
from settlement.errors import SignerRefused, SignerUnreachable
from settlement.external_signer import ExternalSigner
from settlement.local_chain import LocalChain, mine
from settlement.outbox import Outbox
from tests.settlement.conftest import Endpoint
from tests.settlement.outboxes import Clock, attempts_of, still_world
from tests.settlement.signer import clef
from tests.settlement.support import payee, run, world

ALICE = payee(1)


def test_loop_goes_on_while_the_owner_of_a_key_decides(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                loop, asked, decided = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

                def hesitate() -> None:
                    loop.call_soon_threadsafe(asked.set)
                    decided.wait(30)

                signer.hesitates = hesitate
                outbox = Outbox(database, w.chain)
                key = ExternalSigner(signer.url, w.payer.address)
                submitting = asyncio.create_task(outbox.submit("fund", w.fund_call([(ALICE, 10)]), key))
                await asked.wait()
                assert not submitting.done()
                decided.set()
                assert (await outbox.wait(await submitting)).succeeded

    run(story())


def test_what_the_owner_of_a_key_refuses_is_given_up(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                signer.denies = True
                outbox = Outbox(database, w.chain)
                key = ExternalSigner(signer.url, w.payer.address)
                with pytest.raises(SignerRefused, match="request denied"):
                    await outbox.submit("fund", w.fund_call([(ALICE, 10)]), key)
                await outbox.tick()
                assert len(signer.seen) == 1
                assert outbox.open() == []

    run(story())


def test_what_a_signer_that_is_down_should_sign_waits_for_it(endpoint: Endpoint, database: Database) -> None:
    async def story() -> None:
        async with world(endpoint()) as w:
            with clef(w.payer) as signer:
                pass
            outbox = Outbox(database, w.chain)
            queued = await outbox.submit(
                "fund", w.fund_call([(ALICE, 10)]), ExternalSigner(signer.url, w.payer.address)
            )
            with pytest.raises(SignerUnreachable, match="gave no answer"):
                await outbox.wait(queued)
            assert "gave no answer" in outbox.open()[0].problem
            with clef(w.payer) as again:
                outbox.hold([ExternalSigner(again.url, w.payer.address)])
                assert (await outbox.wait(queued)).succeeded

    run(story())


def test_owner_that_refuses_more_fee_is_left_in_peace(still_anvil: LocalChain, database: Database) -> None:
    async def story() -> None:
        clock = Clock()
        async with still_world(still_anvil) as w:
            with clef(w.payer) as signer:
                outbox = Outbox(database, w.chain, stuck_seconds=10, clock=clock)
                key = ExternalSigner(signer.url, w.payer.address)
                queued = await outbox.submit("fund", w.fund_call([(ALICE, 10)]), key)
                signer.denies = True
                for _ in range(5):
                    clock.now += 11
                    await outbox.tick()
                assert len(signer.seen) == 2
                clock.now += 600
                signer.denies = False
                await outbox.tick()
                assert len(attempts_of(database, queued)) == 2
                await mine(w.chain.rpc)
                assert (await outbox.wait(queued)).succeeded

    run(story())
