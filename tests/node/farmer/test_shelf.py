"""What renters put on a farmer's shelf, or propose and drop, is bounded, counted and forgotten in the end."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from node.db import Connection
from node.db.farmer_agreements import load_agreement
from node.db.farmer_shelf import measure_all
from node.farmer import agreements
from node.farmer.room import footprint, measure_room
from node.messages import AgreementState, ShelfEntry, ShelfList, ShelfPlace
from payments.channel import Status
from payments.types import GB, Amount
from settlement.local_chain import warp
from settlement.tables import load_channel
from tests.node.farmer.support import PERIOD, Renter, Rig, content, refusal, run

DAY = 86_400
SIZE = 1_000


async def shelve(renter: Renter, name: int = 0, *, size: int = SIZE, version: int = 1) -> ShelfPlace:
    message = ShelfEntry(entry=bytes([name]) * 16, version=version, sealed=os.urandom(size))
    return await renter.transport.post(renter.target, "/v1/shelf", message, ShelfPlace)


async def shelved(renter: Renter) -> int:
    return len((await renter.transport.get(renter.target, "/v1/shelf", ShelfList)).entries)


async def withdraw(rig: Rig, renter: Renter) -> None:
    chain = rig.world.chain
    await renter.close()
    await rig.farmer.follow()
    await warp(chain.rpc, PERIOD + 5)
    await rig.world.send(
        chain.calls.withdraw(renter.signer.address, PERIOD, renter.salt, [renter.terms.payee])
    )
    await rig.farmer.follow()


def test_a_shelf_counts_against_the_capacity(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await shelve(renter)
            room = rig.farmer.farm.database.read(lambda conn: measure_room(conn, rig.farmer.farm))
            assert (room.shelves, room.untouched) == (SIZE, footprint(SIZE) - SIZE)
            refused = await refusal(shelve(renter, 1, size=footprint(SIZE) - SIZE + 1))
            assert refused.error == "CAPACITY_EXCEEDED"
            assert (await renter.quote()).free_bytes < SIZE
            assert await shelved(renter) == 1
            full = SIZE + footprint(SIZE) - SIZE
            await shelve(renter, size=full, version=2)
            assert (await shelve(renter, size=full, version=3)).version == 3

    run(tmp_path, story, capacity=footprint(SIZE))


def test_a_disk_that_is_nearly_full_takes_no_entries(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            assert (await refusal(shelve(renter))).error == "CAPACITY_EXCEEDED"

    run(tmp_path, story, keep_free=2**60)


def test_a_shelf_holds_what_the_deposits_would_store_for_a_year(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        offer = rig.farmer.farm.config.offer
        price = Amount(10**15 * GB // (12 * SIZE))  # the least deposit, for SIZE bytes
        dear = replace(offer, prices=replace(offer.prices, storage_per_gb_month=price))
        rig.farmer.reconfigure(replace(rig.farmer.farm.config, offer=dear))
        async with rig.renter(deposit=10**15) as renter:
            refused = await refusal(shelve(renter, size=SIZE + 1))
            assert (refused.error, refused.values["limit"]) == ("SHELF_FULL", SIZE)
            await shelve(renter)
            await shelve(renter, version=2)
            await withdraw(rig, renter)
            assert (await refusal(shelve(renter, version=3))).error == "NO_CHANNEL"

    run(tmp_path, story)


def test_who_has_left_has_no_shelf_after_the_grace(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        farm = rig.farmer.farm
        async with rig.renter() as leaving, rig.renter() as staying:
            for renter in (leaving, staying):
                await shelve(renter)
            await withdraw(rig, leaving)
            channel = farm.database.read(lambda conn: load_channel(conn, leaving.channel))
            assert channel is not None
            assert channel.status is Status.CLOSED
            grace = farm.config.offer.grace
            for now, left in ((channel.closes_at + grace, 1), (channel.closes_at + grace + 3_600, 0)):
                rig.clock.now = now
                await rig.farmer.sweep()
                assert (await shelved(leaving), await shelved(staying)) == (left, 1)
            assert farm.database.read(measure_all) == SIZE

    run(tmp_path, story)


def test_what_is_over_is_forgotten_sooner_where_it_never_had_a_shard(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        farm = rig.farmer.farm
        async with rig.renter() as renter:
            kept, ended = [await renter.store(content(SIZE, name)) for name in "ab"]
            dropped = await renter.agree(content(SIZE, "c"), end=ended.end)
            await renter.propose(dropped)
            for terms in (ended, dropped):
                await renter.delete(terms)

            def known(conn: Connection) -> list[bool]:
                names = [renter.name(terms) for terms in (kept, ended, dropped)]
                return [load_agreement(conn, name) is not None for name in names]

            since = rig.clock.now
            for days, expected in ((1, [True] * 3), (2, [True, True, False]), (30, [True, True, False])):
                rig.clock.now = since + days * DAY
                await rig.farmer.sweep()
                assert farm.database.read(known) == expected
            rig.clock.now += 3_600
            await rig.farmer.sweep()
            assert farm.database.read(known)[1:] == [False, False]
            assert (await refusal(renter.agreement(ended))).error == "AGREEMENT_NOT_FOUND"

    run(tmp_path, story, max_exposure=10**18)


def test_who_drops_many_proposals_waits_until_they_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreements, "MAX_UNSIGNED", 2)

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = [await renter.agree(content(SIZE, name)) for name in "abc"]
            for one in terms[:2]:
                await renter.propose(one)
                await renter.delete(one)
            assert (await refusal(renter.propose(terms[2]))).error == "TOO_MANY_PROPOSALS"
            rig.clock.now += 2 * DAY
            await rig.farmer.sweep()
            again = await renter.agree(content(SIZE, "c"))
            assert (await renter.propose(again)).state is AgreementState.PROPOSED

    run(tmp_path, story)
