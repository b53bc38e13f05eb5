"""Agreements and shards: what a farmer countersigns it has on disk; what it refuses leaves no trace."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.agreement import verify_farmer
from node.farmer import agreements
from node.farmer.room import footprint
from node.messages import AgreementState
from node.shard_store import StoreFull
from payments.prices import Prices
from payments.types import Amount, Timestamp
from settlement.wallet import new_key
from tests.node.farmer.support import Rig, content, kept_files, refusal, run

DATA = content(5_000)


def files(rig: Rig) -> list[str]:
    return sorted(path.suffix for path in kept_files(rig.places.shards))


async def used(rig: Rig) -> tuple[int, int]:
    status = await rig.farmer.status()
    return status.stored_bytes, status.reserved_bytes


def test_a_proposal_reserves_room_until_its_shard_comes(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            view = await renter.propose(terms)
            assert (view.state, view.farmer_signature) == (AgreementState.PROPOSED, None)
            assert await used(rig) == (0, 5_000)
            stored = await renter.upload(terms, DATA)
            assert stored.state is AgreementState.STORED
            assert stored.farmer_signature is not None
            verify_farmer(renter.domain, terms, stored.farmer_signature)
            assert await used(rig) == (5_000, 0)
            assert files(rig) == [".shard", ".tree"]

    run(tmp_path, story)


def test_a_shard_may_bring_its_proposal_along(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms, sent = await renter.agree(DATA), list[int]()
            stored = await renter.propose_with(terms, DATA, sent)
            assert stored.state is AgreementState.STORED
            assert sum(sent) == len(DATA)
            assert await used(rig) == (len(DATA), 0)
            assert await renter.propose_with(terms, DATA, sent) == stored == await renter.agreement(terms)
            assert sum(sent) == len(DATA)

    run(tmp_path, story)


def test_a_refused_proposals_bytes_never_leave(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms, sent = await renter.agree(DATA), list[int]()
            cheap = replace(terms, step=Amount(0))
            assert (await refusal(renter.propose_with(cheap, DATA, sent))).error == "PRICE_TOO_LOW"
            longer = await refusal(renter.propose_with(terms, DATA + b"x", sent))
            assert longer.error == "WRONG_UPLOAD_LENGTH"
            assert sent == []
            assert files(rig) == []
            wrong = await refusal(renter.propose_with(terms, b"y" * len(DATA), sent))
            assert wrong.error == "WRONG_DATA_ROOT"
            assert files(rig) == []

    run(tmp_path, story)


def test_every_step_may_be_repeated(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            assert (await renter.propose(terms)).state is AgreementState.PROPOSED
            stored = await renter.upload(terms, DATA)
            assert await renter.upload(terms, DATA) == stored
            assert await renter.propose(terms) == stored == await renter.agreement(terms)
            assert await used(rig) == (5_000, 0)
            deleted = await renter.delete(terms)
            assert deleted.state is AgreementState.DELETED
            assert await renter.delete(terms) == deleted
            assert await used(rig) == (0, 0)
            assert files(rig) == []
            assert (await refusal(renter.upload(terms, DATA))).error == "AGREEMENT_OVER"
            assert (await refusal(renter.propose(terms))).error == "AGREEMENT_OVER"

    run(tmp_path, story)


def test_simultaneous_uploads_of_one_shard_both_succeed(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            data = content(600_000)
            terms = await renter.agree(data)
            await asyncio.gather(*(renter.propose(terms) for _ in range(3)))
            views = await asyncio.gather(*(renter.upload(terms, data) for _ in range(3)))
            assert len(set(views)) == 1
            assert await used(rig) == (600_000, 0)
            assert files(rig) == [".shard", ".tree"]

    run(tmp_path, story)


def test_simultaneous_uploads_take_the_room_of_one(tmp_path: Path) -> None:
    """Else a renter with one small reservation could fill the disk with temporary files."""

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(content(3_000_000))
            await renter.propose(terms)
            junk = content(3_000_000, "junk")
            uploads = asyncio.gather(*(refusal(renter.upload(terms, junk)) for _ in range(6)))
            most = 0
            while not uploads.done():
                most = max(most, len(files(rig)))
                await asyncio.sleep(0)
            assert {refused.error for refused in await uploads} == {"WRONG_DATA_ROOT"}
            assert most == 1
            assert files(rig) == []

    run(tmp_path, story)


def test_proposals_reserve_no_more_than_the_farmer_would_lend_for(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            limit = 3 * terms.step
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(limit)))
            for second in range(3):
                await renter.propose(replace(terms, start=Timestamp(terms.start + second)))
            refused = await refusal(renter.propose(replace(terms, start=Timestamp(terms.start + 3))))
            assert (refused.status, refused.error) == (402, "EXPOSURE_EXCEEDED")
            assert await used(rig) == (0, 15_000)

    run(tmp_path, story)


def test_only_so_many_proposals_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreements, "MAX_WAITING", 2)

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            for second in range(2):
                await renter.propose(replace(terms, start=Timestamp(terms.start + second)))
            more = replace(terms, start=Timestamp(terms.start + 2))
            refused = await refusal(renter.propose(more))
            assert (refused.status, refused.error) == (409, "TOO_MANY_PROPOSALS")
            assert refused.values == {"limit": 2}
            await renter.delete(terms)
            await renter.propose(more)

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (content(5_000, "another"), "WRONG_DATA_ROOT"),
        (DATA[:-1], "WRONG_UPLOAD_LENGTH"),
        (DATA + b"x", "WRONG_UPLOAD_LENGTH"),
        (b"", "WRONG_UPLOAD_LENGTH"),
    ],
)
def test_bytes_that_were_not_agreed_leave_no_trace(tmp_path: Path, data: bytes, error: str) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            refused = await refusal(renter.upload(terms, data))
            assert (refused.status, refused.error) == (422, error)
            assert files(rig) == []
            assert (await renter.agreement(terms)).state is AgreementState.PROPOSED
            assert (await renter.upload(terms, DATA)).state is AgreementState.STORED

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"step": Amount(1)}, "PRICE_TOO_LOW"),
        ({"download_price": Amount(0)}, "PRICE_TOO_LOW"),
        ({"leaf_count": 4}, "WRONG_LEAF_COUNT"),
        ({"audit_interval": 1}, "TERM_DIFFERS"),
        ({"farmer": b"?" * 32}, "WRONG_FARMER"),
        ({"start": 5}, "START_OUT_OF_BOUNDS"),
        ({"end": 5}, "AGREEMENT_EXPIRED"),
        ({"end": 2**40}, "AGREEMENT_TOO_LONG"),
        ({"shard_length": 10**8, "leaf_count": 97_657}, "SHARD_LENGTH_OUT_OF_BOUNDS"),
    ],
)
def test_terms_outside_the_quote_are_refused(tmp_path: Path, change: dict[str, Any], error: str) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            refused = await refusal(renter.propose(await renter.agree(DATA, **change)))
            assert (refused.status, refused.error) == (422, error)
            assert await used(rig) == (0, 0)

    run(tmp_path, story)


def test_an_agreement_wants_its_renter_its_signer_and_a_channel(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter(deposit=0, opened=False) as poor:
            terms = await renter.agree(DATA)
            assert (await refusal(poor.propose(terms))).error == "WRONG_RENTER"
            own = replace(terms, renter=poor.key.node)
            refused = await refusal(poor.propose(own))
            assert (refused.status, refused.error) == (402, "NO_CHANNEL")
            wrong = await refusal(renter.propose(terms, signer=new_key()))
            assert wrong.error == "WRONG_RENTER_SIGNATURE"
            assert wrong.values["expected"] == "0x" + renter.signer.address.hex()

    run(tmp_path, story)


def test_nobody_sees_touches_or_reads_anothers_agreement(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter() as thief:
            terms = await renter.store(DATA)
            for attempt in (
                thief.agreement(terms),
                thief.delete(terms),
                thief.upload(terms, DATA),
                thief.read(terms, 0, len(DATA), thief.voucher(10**12)),
            ):
                refused = await refusal(attempt)
                assert (refused.status, refused.error) == (404, "AGREEMENT_NOT_FOUND")
            assert (await renter.agreement(terms)).state is AgreementState.STORED

    run(tmp_path, story)


def test_capacity_is_honoured_reservations_included(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            first = await renter.agree(content(7_000, "a"))
            second = await renter.agree(content(7_000, "b"))
            await renter.propose(first)
            refused = await refusal(renter.propose(second))
            assert (refused.status, refused.error) == (507, "CAPACITY_EXCEEDED")
            assert refused.values == {"needed": 7_000, "free": 6_999}
            await renter.delete(first)
            assert (await renter.propose(second)).state is AgreementState.PROPOSED

    run(tmp_path, story, capacity=footprint(7_000) + footprint(6_999))


def test_a_full_farmer_renews_without_a_second_copy(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            renewal = await renter.agree(DATA, end=Timestamp(terms.end + 1))
            assert (await renter.propose(renewal)).state is AgreementState.STORED
            one, other = (path for path in kept_files(tmp_path / "shards") if path.suffix == ".shard")
            assert one.samefile(other)
            third = await renter.agree(DATA, end=Timestamp(terms.end + 2))
            assert (await refusal(renter.propose(third))).error == "CAPACITY_EXCEEDED"
            assert (await refusal(renter.propose_with(third, DATA, []))).error == "CAPACITY_EXCEEDED"
            await renter.delete(terms)
            assert rig.farmer.holdings().trash.bytes == 0
            assert await renter.pass_audit([renewal], 0) == renewal.step

    run(tmp_path, story, capacity=footprint(len(DATA)))


def test_a_renewal_with_its_shard_needs_room_for_that(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            renewal = await renter.agree(DATA, end=Timestamp(terms.end + 1))
            assert (await refusal(renter.propose_with(renewal, DATA, []))).error == "CAPACITY_EXCEEDED"

    run(tmp_path, story, capacity=footprint(len(DATA)))


@pytest.mark.parametrize("room", [1, 2])
def test_where_nothing_can_be_shared_a_renewal_is_copied_if_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no hard links here")

    async def story(rig: Rig) -> None:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            renewal = await renter.agree(DATA, end=Timestamp(terms.end + 1))
            if room == 1:
                assert (await refusal(renter.propose(renewal))).error == "CAPACITY_EXCEEDED"
                assert await used(rig) == (len(DATA), 0)
            else:
                assert (await renter.propose(renewal)).state is AgreementState.STORED
                await renter.delete(terms)
                assert await renter.pass_audit([renewal], 0) == renewal.step

    run(tmp_path, story, capacity=room * footprint(len(DATA)))


def test_abandoned_proposals_free_their_room_and_may_be_made_again(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            rig.clock.now += 599
            await rig.farmer.sweep()
            assert await used(rig) == (0, 5_000)
            rig.clock.now += 1
            await rig.farmer.sweep()
            assert await used(rig) == (0, 0)
            assert (await renter.agreement(terms)).state is AgreementState.EXPIRED
            assert (await renter.propose(terms)).state is AgreementState.PROPOSED
            assert (await renter.upload(terms, DATA)).state is AgreementState.STORED

    run(tmp_path, story, upload_seconds=600)


def test_an_agreement_ends_at_its_end(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA, end=rig.clock.now + 86_400)
            challenge = renter.challenge([terms])
            rig.clock.now += 86_400
            refused = await refusal(renter.audit(challenge, renter.conditional(challenge, terms.step)))
            assert (refused.status, refused.error) == (409, "AGREEMENT_OVER")
            assert refused.values["state"] == "EXPIRED"
            await rig.farmer.sweep()
            assert (await renter.agreement(terms)).state is AgreementState.EXPIRED
            assert files(rig) == []
            assert (
                await refusal(renter.read(terms, 0, len(DATA), renter.voucher(10**9)))
            ).error == "AGREEMENT_OVER"

    run(tmp_path, story)


def test_an_older_quote_stays_good_until_it_expires(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            old = await renter.agree(DATA)
            dearer = Prices(Amount(10**16), Amount(10**16), Amount(10**7))
            offer = replace(rig.config.offer, prices=dearer)
            rig.farmer.reconfigure(replace(rig.config, offer=offer))
            quote = await renter.quote()
            assert (quote.prices, quote.sequence) == (dearer, 2)
            assert (await renter.propose(old)).state is AgreementState.PROPOSED
            rig.clock.now += 3_600
            late = replace(old, start=Timestamp(rig.clock.now))
            assert (await refusal(renter.propose(late))).error == "PRICE_TOO_LOW"

    run(tmp_path, story)


def test_quotes_are_renewed_and_numbered_over_restarts(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(deposit=0, opened=False) as renter:
            first = await renter.quote()
            assert await renter.quote() == first
            rig.clock.now += 1_801
            second = await renter.quote()
            assert (second.sequence, second.issued_at) == (first.sequence + 1, rig.clock.now)
            await rig.restart()
            assert (await renter.quote()).sequence == second.sequence + 1

    run(tmp_path, story)


def test_a_full_disk_refuses_the_shard_and_keeps_the_proposal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            with monkeypatch.context() as patch:

                def full(*_: object) -> None:
                    raise StoreFull(tmp_path)

                patch.setattr("node.shard_store.IncomingShard.write", full)
                refused = await refusal(renter.upload(terms, DATA))
            assert (refused.status, refused.error) == (507, "STORE_FULL")
            assert str(tmp_path) not in refused.message
            assert files(rig) == []
            assert (await renter.upload(terms, DATA)).state is AgreementState.STORED

    run(tmp_path, story)


def test_what_is_stored_survives_a_restart(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            proposed = await renter.agree(content(9_000))
            await renter.propose(proposed)
            await rig.restart()
            assert (await renter.agreement(terms)).state is AgreementState.STORED
            await renter.pass_audit([terms], 0)
            assert (await renter.upload(proposed, content(9_000))).state is AgreementState.STORED

    run(tmp_path, story)


def test_a_start_removes_orphans_and_partial_files_and_names_what_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            kept, lost = await renter.store(DATA), await renter.store(content(9_000))
            rig.farmer.farm.store.delete(renter.name(lost))
            waiting = await renter.agree(content(100))
            await renter.propose(waiting)
            orphan = rig.farmer.farm.store.path(renter.name(waiting))
            orphan.parent.mkdir(exist_ok=True)
            orphan.write_bytes(b"never countersigned")
            rig.farmer.farm.store.receive().write(b"half")
            await rig.restart()
            assert not orphan.exists()
            assert files(rig) == [".shard", ".tree"]
            assert f"shard_lost agreement={renter.name(lost).hex()} reason=its file is gone" in caplog.text
            challenge = renter.challenge([lost])
            answer = await renter.audit(challenge, renter.conditional(challenge, lost.step))
            assert answer.root.status == "DECLINED"
            assert await renter.pass_audit([kept], 0) == kept.step

    run(tmp_path, story)


def test_shards_the_books_do_not_know_are_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.store(DATA)
            await rig.daemon.stop()
            for ending in ("", "-wal", "-shm"):
                (tmp_path / f"money.db{ending}").unlink(missing_ok=True)
            (tmp_path / "copies").rename(tmp_path / "copies before")
            await rig.restart()
            assert "shards_unknown count=1" in caplog.text
            assert files(rig) == [".shard", ".tree"]
            await renter.open()
            terms = await renter.store(DATA)
            await renter.pass_audit([terms], 0)

    run(tmp_path, story)
