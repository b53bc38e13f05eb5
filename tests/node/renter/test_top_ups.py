"""Top-ups: channels are filled before they run dry, all at once, and never beyond what the owner allows."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from node.db.renter_top_ups import sum_top_ups
from node.renter.reports import FundingRow
from node.renter.run_reports import TickReport
from node.renter.targets import Need, fill, share_out
from node.renter.top_ups import DAY, TopUpRules
from payments.types import Amount, ChannelId, NodeId, Seconds
from tests.node.renter.support import TOKEN, Village, content, tell
from tests.node.renter.test_limits import reoffer
from tests.node.renter.test_targets import TERMS

PLENTY = Amount(10**6 * TOKEN)
AGES = Seconds(10**7 * DAY)
ALWAYS = TopUpRules(PLENTY, PLENTY, ahead=Seconds(2**40), seconds=AGES)
"""Nothing lasts long enough for these."""


async def prepare(place: Village, rules: TopUpRules) -> None:
    """Two shards with each farmer, in channels that hold little."""
    await place.fund(TOKEN // 1_000)
    await place.store("file", content(40_000), k=1, n=len(place.farmers), segment_size=20_000)
    place.top_ups = rules
    await place.restart_renter()


async def two_ticks(place: Village) -> Sequence[TickReport]:
    """The first begins, the second tells; between them the transaction has all the time it needs."""
    first = await place.renter.tick()
    for task in asyncio.all_tasks():
        if task.get_coro().__name__ == "top_up":  # type: ignore[union-attr]
            await task
    return first, await place.renter.tick()


def deposits(place: Village) -> list[int]:
    return [info.channel.deposit for info in place.renter.channels.list()]


async def transactions(place: Village) -> int:
    return await place.world.chain.rpc.nonce(place.world.payer.address)


def test_channels_that_run_dry_are_filled_by_one_transaction(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await prepare(place, ALWAYS)
        before, sent = deposits(place), await transactions(place)
        _, told = await two_ticks(place)
        added = sum(deposits(place)) - sum(before)
        assert (told.topped_up, told.trouble) == (added, "")
        assert all(now > then for now, then in zip(deposits(place), before, strict=True))
        assert await transactions(place) == sent + 1
        assert place.database.read(sum_top_ups) == added

    tell(tmp_path, story, farmers=3)


def test_caps_hold_over_a_day_in_all_and_over_restarts(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        daily, cap = Amount(1_000), Amount(1_500)
        await prepare(place, replace(ALWAYS, daily=daily, cap=cap))
        before = sum(deposits(place))
        await two_ticks(place)
        assert sum(deposits(place)) == before + daily
        _, told = await two_ticks(place)
        assert "cap on top-ups is reached" in told.trouble
        place.clock.pass_time(DAY + 1)
        await place.restart_renter()
        await two_ticks(place)
        await two_ticks(place)
        assert sum(deposits(place)) == before + cap

    tell(tmp_path, story, farmers=3)


def test_nothing_is_topped_up_that_lasts_or_that_nobody_has_allowed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await prepare(place, replace(ALWAYS, ahead=Seconds(1)))
        before = deposits(place)
        _, told = await two_ticks(place)
        assert (told.topped_up, told.trouble, deposits(place)) == (0, "", before)

    tell(tmp_path, story, farmers=2)


def test_a_farmer_that_is_silent_keeps_no_other_channel_dry(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await prepare(place, ALWAYS)
        silent, *_ = place.farmers
        await silent.stop()
        before = {info.farmer: info.channel.deposit for info in place.renter.channels.list()}
        _, told = await two_ticks(place)
        after = {info.farmer: info.channel.deposit for info in place.renter.channels.list()}
        assert {farmer for farmer in after if after[farmer] > before[farmer]} == set(after) - {silent.node}
        assert "gives no quote" in told.trouble

    tell(tmp_path, story, farmers=3)


def test_what_a_farmer_asks_by_now_takes_nothing_from_the_others(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await prepare(place, TopUpRules(Amount(TOKEN), Amount(TOKEN), ahead=Seconds(2**40), seconds=AGES))
        greedy = place.farmers[0]
        await reoffer(greedy, min_deposit=Amount(10**24))
        before = deposits(place)
        _, told = await two_ticks(place)
        added = [now - then for now, then in zip(deposits(place), before, strict=True)]
        assert (told.trouble, added[0]) == ("", added[1])
        assert 0 < added[0] == added[1] == added[2] < TOKEN // 3

    tell(tmp_path, story, farmers=3)


@given(st.lists(st.integers(0, 100), max_size=8), st.integers(0, 500))
def test_a_budget_is_divided_so_that_no_other_has_more_than_who_lacks(wanted: list[int], budget: int) -> None:
    got = share_out(wanted, budget)
    assert sum(got) == min(budget, sum(wanted))
    assert all(0 <= mine <= want for mine, want in zip(got, wanted, strict=True))
    lacking = [mine for mine, want in zip(got, wanted, strict=True) if mine < want]
    assert all(most <= least + 1 for least in lacking for most in got)


def row(target: int) -> FundingRow:
    return FundingRow(NodeId(bytes(32)), ChannelId(bytes(32)), TERMS, 0, Amount(0), Amount(target), Amount(0))


def test_all_channels_are_to_last_for_a_while_before_one_is_filled_up() -> None:
    needs = [Need(row(target=1_000), soon=Amount(100)), Need(row(target=40), soon=Amount(40))]
    assert [one.added for one in fill(needs, Amount(100))] == [60, 40]
    assert [one.added for one in fill(needs, Amount(140))] == [100, 40]
    assert [one.added for one in fill(needs, Amount(200))] == [160, 40]
    assert fill(needs, Amount(0)) == []
