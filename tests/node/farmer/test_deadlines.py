"""A payer asks to close: the farmer stops accepting, claims at once, at a higher price, and gives alarm."""

import asyncio
import os
import socket
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from node.aside import Sum
from node.farmer.check import Condition, Level, examine, worst
from node.farmer.config import FarmerConfig
from node.farmer.holdings import Holdings
from node.farmer.metrics import render
from node.farmer.scanner import Scan
from node.farmer.vitals import Books, Vitals, read_vitals, usual_latency
from payments.deadlines import Deadline
from payments.types import Address, Amount, ChannelId, Seconds, Timestamp
from tests.node.farmer.support import Renter, Rig, content, refusal, run

EARNED = 10**15
CONFIG = FarmerConfig(Address(bytes(20)), ())
SOUND = Holdings(None, Sum(), Sum(), 0, 0, Scan())
HEALTHY = Vitals(
    claimable=Amount(0),
    locked=Amount(0),
    claimed=Amount(0),
    open_claims=0,
    waiting=(),
    oldest_unclaimed=None,
    deadlines=(),
    gas_balance=10**18,
    gas_price=10**9,
    gas_claims=1_000,
    watcher_lag=0,
)
WORTHLESS, PRECIOUS = Amount(1), Amount(10**30)
"""What 10**18 wei are worth in tokens."""


async def earn(rig: Rig, renter: Renter) -> None:
    """Let the farmer hold a voucher, gas be dearer than it usually pays."""
    rig.farmer.reconfigure(replace(rig.farmer.farm.config, max_gas_fee=1))
    await renter.pay(renter.voucher(EARNED))


def books(rig: Rig) -> Books:
    farm = rig.farmer.farm
    return Books(
        farm.config, farm.database, farm.chain.deployment, rig.gas_key.address if rig.gas_key else None
    )


async def mine_two(rig: Rig) -> None:
    for number in range(2):
        await rig.world.fund((Address(os.urandom(20)), 1 + number))


async def until_paid(rig: Rig, total: int) -> None:
    while await balance(rig) != total:  # noqa: ASYNC110 - the chain tells nobody
        await asyncio.sleep(0.01)


async def balance(rig: Rig) -> int:
    return await rig.world.chain.token_balance(rig.config.payee)


def test_at_first_sight_of_a_close_request_nothing_more_is_accepted_and_the_claim_is_sent(
    tmp_path: Path,
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as renter:
            await mine_two(rig)
            await renter.open()
            await renter.pay(renter.voucher(EARNED))
            late, data = await renter.agree(content(3_000)), content(3_000)
            await renter.propose(late)
            await renter.close()  # one confirmation of three
            await rig.farmer.follow()
            assert (await refusal(renter.pay(renter.voucher(2 * EARNED)))).error == "CHANNEL_CLOSING"
            assert (await refusal(renter.upload(late, data))).error == "NO_CHANNEL"
            assert (await refusal(renter.propose(await renter.agree(content(2_000))))).error == "NO_CHANNEL"
            await until_paid(rig, EARNED)  # by itself

    run(tmp_path, story, confirmations=3)


def test_a_claim_that_waits_for_confirmations_keeps_no_other_deadline_waiting(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(opened=False) as first, rig.renter(opened=False) as second:
            await mine_two(rig)
            await first.open()
            await second.open()
            await first.pay(first.voucher(EARNED))
            await first.close()
            await rig.farmer.follow()
            await until_paid(rig, EARNED)
            assert (await rig.farmer.vitals()).open_claims == 1  # one confirmation of three
            await second.pay(second.voucher(EARNED))
            await second.close()
            await rig.farmer.follow()
            await until_paid(rig, 2 * EARNED)

    run(tmp_path, story, confirmations=3)


def test_above_the_usual_ceiling_a_deadline_is_claimed_as_long_as_it_is_worth_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await earn(rig, renter)
            await rig.farmer.collect(everything=True)
            assert any("ceiling" in one for one in rig.farmer.trouble)
            rig.farmer.reconfigure(replace(rig.farmer.farm.config, gas_price=PRECIOUS))
            await renter.close()
            await rig.farmer.follow()
            await rig.farmer.collect()
            assert await balance(rig) == 0  # gas would cost more than it brings
            await check_alarm(rig, caplog)
            rig.farmer.reconfigure(replace(rig.farmer.farm.config, gas_price=WORTHLESS))
            await rig.farmer.collect()
            assert await balance(rig) == EARNED
            await rig.farmer.follow()
            assert (await rig.farmer.vitals()).deadlines == ()
            assert not rig.farmer.trouble

    run(tmp_path, story)


async def check_alarm(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Time passes until a claim may come too late: log, trouble, metric and check say so."""
    calm, _ = await read_vitals(books(rig), rig.farmer.farm.now(), rig.world.chain)
    (deadline,) = calm.deadlines
    assert not deadline.short
    left = usual_latency(rig.world.chain.deployment)
    rig.clock.now += deadline.remaining - left
    await rig.farmer.follow()
    assert "deadline_near" in caplog.text
    assert any("may withdraw in" in one for one in rig.farmer.trouble)
    near, _ = await read_vitals(books(rig), rig.farmer.farm.now(), rig.world.chain)
    findings = examine(rig.farmer.farm.config, near, Condition(True, SOUND))
    assert (findings[0].code, worst(findings)) == ("DEADLINE_NEAR", Level.DANGER)
    assert f"tithebarn_nearest_deadline_seconds {left}\n" in render(near, SOUND)
    assert f"tithebarn_claimable {EARNED}\n" in render(near, SOUND)


def test_a_farmer_that_starts_claims_at_once_from_a_channel_it_knew_to_be_closing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.pay(renter.voucher(EARNED))
            await renter.close()
            await rig.farmer.follow()
            while not (await rig.farmer.vitals()).waiting:  # noqa: ASYNC110 - above both ceilings
                await asyncio.sleep(0.01)
            rig.config = replace(rig.config, deadline_gas_fee=CONFIG.deadline_gas_fee)
            await rig.restart()
            async with asyncio.timeout(60):
                await until_paid(rig, EARNED)

    run(tmp_path, story, max_gas_fee=1, deadline_gas_fee=1)


def test_a_farmer_that_stands_still_is_told_of_a_close_request_it_has_not_seen(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.pay(renter.voucher(EARNED))
            farm, now = books(rig), rig.farmer.farm.now()
            before, _ = await read_vitals(farm, now, rig.world.chain)
            idle = examine(farm.config, before, Condition(False, SOUND))
            assert [(one.code, one.level) for one in idle] == [("NOT_RUNNING", Level.ATTENTION)]
            assert examine(farm.config, before, Condition(True, SOUND)) == ()
            await renter.close()
            after, fault = await read_vitals(farm, now, rig.world.chain)
            assert fault is None
            findings = examine(farm.config, after, Condition(False, SOUND))
            assert findings[0].code == "DEADLINE_UNATTENDED"
            assert findings[0].level is Level.DANGER
            unseen, _ = await read_vitals(farm, now, None)
            assert unseen.deadlines == ()

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("changes", "trouble", "code", "level"),
    [
        ({"gas_claims": 3}, (), "GAS_MONEY_LOW", Level.ATTENTION),
        ({"gas_price": 10**15, "claimable": 1}, (), "GAS_TOO_DEAR", Level.ATTENTION),
        ({"watcher_lag": 26}, (), "WATCHER_LATE", Level.ATTENTION),
        ({"waiting": ("no ether",)}, (), "TROUBLE", Level.ATTENTION),
        ({}, ("the chain does not answer",), "TROUBLE", Level.ATTENTION),
    ],
)
def test_what_wants_attention_is_found(
    changes: dict[str, object], trouble: tuple[str, ...], code: str, level: Level
) -> None:
    vitals = replace(HEALTHY, **changes)  # type: ignore[arg-type]
    (finding,) = examine(CONFIG, vitals, Condition(True, SOUND, trouble=trouble))
    assert (finding.code, finding.level) == (code, level)


NEAR = Deadline(ChannelId(bytes(32)), Amount(1), Timestamp(1_000), 500, Seconds(5))


@pytest.mark.parametrize(
    ("changes", "fault", "code", "level"),
    [
        ({}, "no answer", "CHAIN_UNREADABLE", Level.ATTENTION),
        ({"deadlines": (NEAR,)}, "no answer", "CHAIN_UNREADABLE", Level.DANGER),
        ({"deadlines": (NEAR,), "gas_claims": 1}, None, "GAS_MONEY_LOW", Level.DANGER),
        ({"deadlines": (NEAR,), "gas_claims": 2}, None, "GAS_MONEY_LOW", Level.ATTENTION),
        ({"deadlines": (replace(NEAR, remaining=4),)}, None, "DEADLINE_NEAR", Level.DANGER),
    ],
)
def test_what_is_worse_while_a_payer_closes_is_said_to_be(
    changes: dict[str, object], fault: str | None, code: str, level: Level
) -> None:
    vitals = replace(HEALTHY, **changes)  # type: ignore[arg-type]
    (finding,) = examine(CONFIG, vitals, Condition(True, SOUND, chain_fault=fault))
    assert (finding.code, finding.level) == (code, level)


def test_metrics_are_served_to_this_machine_on_a_port_of_their_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free_port = taken.getsockname()[1]

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.pay(renter.voucher(EARNED))
            page = await asyncio.to_thread(read_page, f"http://127.0.0.1:{free_port}/metrics")
            assert f"\ntithebarn_claimable {EARNED}\n" in page
            assert "nearest_deadline" not in page

    run(tmp_path, story, metrics_port=free_port)


def read_page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own farmer
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text: str = answer.read().decode()
        return text
