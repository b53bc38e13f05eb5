"""A farmer's disk: what ends goes to the trash, what is damaged is set apart, what is away is not lost."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from node.db import Connection
from node.db.farmer_agreements import load_agreement, save_agreement
from node.farmer.check import Condition, Level, examine
from node.farmer.config import FarmerConfig
from node.farmer.metrics import render
from node.farmer.room import footprint
from node.farmer.trash import Refusal, take_back
from node.messages import AgreementState
from node.store_faults import ShardsGone, StoreAway, StoreOfAnother
from payments.types import Address, Timestamp
from settlement.errors import StorageFull
from tests.node.farmer.support import Renter, Rig, build, content, kept_files, refusal, run
from tests.node.farmer.test_deadlines import HEALTHY

DAY = 86_400
DATA = content(5_000)
CONFIG = FarmerConfig(Address(bytes(20)), ())


def flip(rig: Rig, name: bytes) -> None:
    path = rig.farmer.farm.store.path(name)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


async def answer(renter: Renter, *agreements: object) -> tuple[str, list[bytes]]:
    """What an audit of the first leaves comes to, and the agreements a decline names."""
    challenge = renter.challenge(agreements)  # type: ignore[arg-type]
    worth = sum(one.step for one in agreements)  # type: ignore[attr-defined]
    said = (await renter.audit(challenge, renter.conditional(challenge, worth))).root
    return said.status, list(said.agreements) if said.status == "DECLINED" else []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_that_passes_loses_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            with monkeypatch.context() as patch:
                fail_to_open(patch, number)
                refused = await refusal(answer(renter, terms))
                assert (refused.status, refused.error) == (503, "STORE_FAULT")
                refused = await refusal(renter.read(terms, 0, 1_024, renter.voucher(10**9)))
                assert (refused.status, refused.error) == (503, "STORE_FAULT")
                await rig.farmer.scan(1)
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            assert await answer(renter, terms) == ("PROVEN", [])

    run(tmp_path, story)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_that_comes_back_loses_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It would fail all that is asked for together with it."""
    monkeypatch.setattr("node.daemon.PATIENCE", 0)

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            fail_to_open(monkeypatch, number)
            assert await answer(renter, terms) == ("DECLINED", [renter.name(terms)])
            assert (await renter.agreement(terms)).state is AgreementState.LOST

    run(tmp_path, story)


def test_a_byte_that_was_read_wrongly_once_loses_no_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            read, calls = os.pread, 0

            def read_wrongly(fd: int, length: int, offset: int) -> bytes:
                nonlocal calls
                calls += 1
                return read(fd, length, offset) if calls > 1 else bytes(length)

            monkeypatch.setattr(os, "pread", read_wrongly)
            refused = await refusal(answer(renter, terms))
            assert (refused.status, refused.error) == (503, "STORE_FAULT")
            assert await answer(renter, terms) == ("PROVEN", [])

    run(tmp_path, story)


def fail_to_open(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let no shard be opened."""
    real = os.open

    def refuse(path: str, *arguments: int) -> int:
        if str(path).endswith(".shard"):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)


def test_what_is_deleted_lies_in_the_trash_until_its_time_is_over(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            assert (await renter.delete(terms)).state is AgreementState.DELETED
            assert kept_files(rig.places.shards) == []
            assert rig.farmer.holdings().trash.bytes == 5_000
            await rig.restart()
            assert rig.farmer.holdings().trash.bytes == 5_000
            rig.clock.now += 7 * DAY
            await rig.farmer.sweep()
            assert rig.farmer.holdings().trash.shards == 1
            rig.clock.now += DAY
            await rig.farmer.sweep()
            assert rig.farmer.holdings().trash.shards == 0

    run(tmp_path, story)


def test_without_a_trash_what_is_deleted_is_gone(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.delete(await renter.store(DATA))
            assert rig.farmer.holdings().trash.shards == 0
            assert kept_files(rig.places.shards) == []

    run(tmp_path, story, trash_seconds=0)


def test_the_trash_is_given_up_for_a_new_shard_and_for_none_that_does_not_fit(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.delete(await renter.store(content(5_000, "a")))
            await renter.propose(await renter.agree(content(5_000, "b")))
            assert rig.farmer.holdings().trash.shards == 1
            await renter.propose(await renter.agree(content(5_000, "c")))
            assert rig.farmer.holdings().trash.shards == 0
            refused = await refusal(renter.propose(await renter.agree(b"d")))
            assert (refused.error, refused.values) == ("CAPACITY_EXCEEDED", {"needed": 1, "free": 0})

    run(tmp_path, story, capacity=2 * footprint(5_000))


def test_a_disk_with_too_little_left_takes_no_shard(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA, shard_length=5_000)
            rig.farmer.reconfigure(replace(rig.config, keep_free=2**60))
            assert (await refusal(renter.propose(terms))).error == "CAPACITY_EXCEEDED"
            rig.farmer.reconfigure(replace(rig.config, keep_free=0))
            assert (await renter.propose(terms)).state is AgreementState.PROPOSED

    run(tmp_path, story)


def test_what_a_wrong_clock_has_ended_is_taken_back(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms, short = await renter.store(DATA), await renter.store(b"x", end=rig.clock.now + DAY)
            right = rig.clock.now
            rig.clock.now += 100 * DAY
            await rig.farmer.sweep()
            rig.clock.now = right + DAY
            assert (await renter.agreement(terms)).state is AgreementState.EXPIRED
            farm = rig.farmer.farm
            names = [renter.name(terms), renter.name(short), bytes(32)]
            done = await take_back(farm.database, farm.store, Timestamp(rig.clock.now), names)
            assert [one.refusal for one in done] == [None, Refusal.OVER, Refusal.UNKNOWN]
            (again, *_) = await take_back(farm.database, farm.store, Timestamp(rig.clock.now), names)
            assert again.refusal is Refusal.NOT_THERE
            await rig.restart()
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            await renter.pass_audit([terms], 0)

    run(tmp_path, story)


def test_a_damaged_shard_fails_alone_and_is_set_apart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            good, bad, gone = [await renter.store(content(5_000, seed)) for seed in "abc"]
            flip(rig, renter.name(bad))
            rig.farmer.farm.store.delete(renter.name(gone))
            said, named = await answer(renter, good, bad, gone)
            assert (said, named) == ("DECLINED", [renter.name(bad), renter.name(gone)])
            assert f"shard_lost agreement={renter.name(bad).hex()} reason=" in caplog.text
            assert [path.stem for path in kept_files(rig.places.shards) if path.suffix == ".shard"] == [
                renter.name(good).hex()
            ]
            assert (await renter.agreement(bad)).state is AgreementState.LOST
            assert await answer(renter, good, bad) == ("DECLINED", [renter.name(bad)])
            assert await answer(renter, good) == ("PROVEN", [])
            held = rig.farmer.holdings()
            assert (held.lost, held.lost_lately, held.quarantine.shards) == (2, 2, 1)
            (finding,) = examine(CONFIG, HEALTHY, Condition(True, held))
            assert (finding.code, finding.level) == ("SHARDS_LOST", Level.ATTENTION)
            assert "tithebarn_shards_lost 2\n" in render(HEALTHY, held)

    run(tmp_path, story)


def test_a_lost_shard_is_owed_for_no_longer(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            kept, lost = await renter.store(DATA), await renter.store(content(9_000))
            rig.farmer.farm.store.delete(renter.name(lost))
            await answer(renter, lost)
            earned = await renter.pass_audit([kept], 0)
            await renter.pay(renter.voucher(earned))
            rig.clock.now += DAY
            assert (await renter.see()).exposure <= kept.step

    run(tmp_path, story)


@pytest.mark.parametrize("state", [AgreementState.DELETED, AgreementState.EXPIRED, AgreementState.LOST])
def test_a_start_moves_what_a_crash_left_in_its_place(tmp_path: Path, state: AgreementState) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            name = renter.name(await renter.store(DATA))

            def end(conn: Connection) -> None:
                record = load_agreement(conn, name)
                assert record is not None
                save_agreement(conn, replace(record, state=state))

            await rig.farmer.farm.database.write(end)
            await rig.restart()
            assert kept_files(rig.places.shards) == []
            held = rig.farmer.holdings()
            lost = state is AgreementState.LOST
            assert (held.trash.shards, held.quarantine.shards) == (not lost, lost)

    run(tmp_path, story)


def test_what_cannot_be_written_down_goes_back_into_the_trash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await renter.delete(terms)
            name, farm = renter.name(terms), rig.farmer.farm

            async def full(*_: object) -> None:
                raise StorageFull(farm.database.name)

            with monkeypatch.context() as patch:
                patch.setattr(farm.database, "write", full)
                with pytest.raises(StorageFull):
                    await rig.farmer.restore_trash([name])
            assert kept_files(rig.places.shards) == []
            assert rig.farmer.holdings().trash.shards == 1
            (done,) = await rig.farmer.restore_trash([name])
            assert done.refusal is None
            assert (await renter.agreement(terms)).state is AgreementState.STORED

    run(tmp_path, story)


def test_the_owners_scan_leaves_the_slow_one_alone_and_has_no_debts(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            for seed in "ab":
                await renter.store(content(50_000, seed))
            await rig.farmer.scan(1.0)
            half = rig.farmer.holdings().scan
            assert half.bytes == 50_000
            assert await rig.farmer.hurry_scan(60.0, half.began + 1) == half
            whole = await rig.farmer.hurry_scan(60.0, half.began)
            assert (whole.bytes, whole.running) == (100_000, False)
            rig.clock.now += DAY
            await rig.farmer.scan(1.0)
            assert rig.farmer.holdings().scan.bytes == 50_000

    run(tmp_path, story, scan_rate=5_000)


def test_books_from_a_copy_find_in_the_trash_what_they_still_owe(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            store = rig.farmer.farm.store
            store.put_aside(renter.name(terms), store.trash, rig.clock.now)
            await rig.restart()
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            assert await answer(renter, terms) == ("PROVEN", [])

    run(tmp_path, story)


def test_an_empty_mount_point_stops_the_farmer_instead_of_failing_it(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            shards, unplugged = rig.places.shards, tmp_path / "unplugged"
            shards.rename(unplugged)
            shards.mkdir()
            refused = await refusal(answer(renter, terms))
            assert (refused.status, refused.error) == (503, "STORE_AWAY")
            await rig.farmer.sweep()
            assert "mount their disk" in str(rig.farmer.trouble)
            (finding,) = examine(CONFIG, HEALTHY, Condition(True, rig.farmer.holdings()))
            assert (finding.code, finding.level) == ("STORE_AWAY", Level.DANGER)
            await rig.daemon.stop()
            with pytest.raises(StoreAway, match="mount their disk"):
                await build(rig).start()
            shards.rmdir()
            unplugged.rename(shards)
            rig.daemon = await build(rig).start()
            assert await answer(renter, terms) == ("PROVEN", [])
            assert rig.farmer.trouble == ()

    run(tmp_path, story)


def test_the_disk_of_another_farmer_is_not_taken_for_its_own(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.store(DATA)
            await rig.daemon.stop()
            store = rig.places.shards / rig.world.chain.deployment.folder
            (store / "tithebarn-shards").write_text("ab" * 32)
            with pytest.raises(StoreOfAnother, match="farmer 0xabab"):
                await build(rig).start()

    run(tmp_path, story)


def test_many_shards_gone_at_once_are_given_up_only_when_the_owner_says_so(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            agreements = [await renter.store(content(100, str(number))) for number in range(12)]
            store = rig.farmer.farm.store
            await rig.daemon.stop()
            for terms in agreements[1:]:
                store.delete(renter.name(terms))
            with pytest.raises(ShardsGone, match="11 of 12 shards are gone"):
                await build(rig).start()
            rig.daemon = await build(rig, accept_loss=True).start()
            assert (await renter.agreement(agreements[1])).state is AgreementState.LOST
            assert await answer(renter, agreements[0]) == ("PROVEN", [])
            assert rig.farmer.holdings().lost == 11

    run(tmp_path, story)


def test_a_scan_finds_damage_goes_on_after_a_restart_and_begins_again_a_day_later(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            agreements = [await renter.store(content(5_000, str(number))) for number in range(4)]
            order = sorted(agreements, key=lambda one: renter.name(one)[::-1][:1] + renter.name(one))
            flip(rig, renter.name(order[0]))
            flip(rig, renter.name(order[3]))
            await rig.farmer.scan(1.5)
            half = rig.farmer.holdings().scan
            assert (half.shards, half.damaged, half.running) == (2, 1, True)
            assert (await renter.agreement(order[0])).state is AgreementState.LOST
            await rig.farmer.sweep()
            await rig.restart()
            assert rig.farmer.holdings().scan == half
            for _ in range(3):
                await rig.farmer.scan(2.0)
            whole = rig.farmer.holdings().scan
            assert (whole.shards, whole.found, whole.running) == (4, 2, False)
            assert (await renter.agreement(order[3])).state is AgreementState.LOST
            await rig.farmer.scan(10.0)
            assert rig.farmer.holdings().scan == whole
            rig.clock.now += DAY
            await rig.farmer.scan(10.0)
            assert rig.farmer.holdings().scan.shards == 2

    run(tmp_path, story, scan_rate=5_000)


def test_a_shard_that_the_books_forgot_goes_when_its_agreement_must_be_over(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            name, farm = renter.name(terms), rig.farmer.farm

            def forget(conn: Connection) -> None:
                record = load_agreement(conn, name)
                assert record is not None
                save_agreement(conn, replace(record, state=AgreementState.LOST))  # for the sums
                conn.execute(text("DELETE FROM farmer_agreement WHERE id = :name"), {"name": name})

            await farm.database.write(forget)
            assert (await refusal(renter.delete(terms))).error == "AGREEMENT_NOT_FOUND"
            await rig.restart()
            rig.clock.now += rig.config.offer.max_agreement_seconds - DAY
            await rig.farmer.hurry_scan(60.0, 0)
            assert list(rig.farmer.farm.store.shards()) == [name]
            rig.clock.now += 2 * DAY
            await rig.farmer.hurry_scan(60.0, 0)
            assert list(rig.farmer.farm.store.shards()) == []
            held = rig.farmer.holdings()
            assert (held.trash.shards, held.quarantine.shards, held.lost) == (1, 0, 0)

    run(tmp_path, story)


def test_a_scan_reads_no_faster_than_it_may(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.store(content(50_000, "a"))
            await renter.store(content(50_000, "b"))
            read = []
            for _ in range(12):
                await rig.farmer.scan(1.0)
                read.append(rig.farmer.holdings().scan.bytes)
            assert read == [50_000] * 10 + [100_000] * 2

    run(tmp_path, story, scan_rate=5_000)


def test_a_disk_that_is_away_ends_no_agreement_in_a_scan(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await rig.farmer.scan(0.0)
            rig.places.shards.rename(tmp_path / "unplugged")
            await rig.farmer.scan(1.0)
            (tmp_path / "unplugged").rename(rig.places.shards)
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            assert rig.farmer.holdings().lost == 0
            await rig.farmer.scan(1.0)
            assert rig.farmer.holdings().scan.bytes == 5_000

    run(tmp_path, story)
