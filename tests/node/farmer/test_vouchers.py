"""Vouchers and paid reads: what is accepted is kept, what is refused leaves the previous voucher."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from node.messages import AgreementState
from payments.types import MIB, Amount
from settlement.wallet import new_key
from tests.node.farmer.support import Renter, Rig, content, refusal, run

DATA = content(5_000)


def price(renter_price: int, length: int) -> int:
    return -(-renter_price * length // 10**9)


async def paid_total(renter: Renter) -> int:
    seen = await renter.see()
    return seen.paid.voucher.cumulative_amount if seen.paid else 0


def test_a_prepayment_is_kept_over_restarts(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            voucher = renter.voucher(12_345)
            seen = await renter.pay(voucher)
            assert seen.paid is not None
            assert seen.paid.core() == voucher
            await rig.restart()
            assert (await renter.see()).paid == seen.paid

    run(tmp_path, story)


def test_a_voucher_that_brings_nothing_new_changes_nothing(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            seen = await renter.pay(renter.voucher(100))
            assert await renter.pay(renter.voucher(100)) == seen
            assert await renter.pay(renter.voucher(40)) == seen

    run(tmp_path, story)


def test_a_bad_voucher_is_refused_and_the_previous_one_stays(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.pay(renter.voucher(100))
            above = await refusal(renter.pay(renter.voucher(10**18 + 1)))
            assert (above.status, above.error) == (422, "ABOVE_DEPOSIT")
            assert above.values == {"total": str(10**18 + 1), "deposit": str(10**18)}
            stranger = new_key()
            wrong = await refusal(renter.pay(renter.voucher(200, signer=stranger)))
            assert (wrong.status, wrong.error) == (422, "WRONG_SIGNER")
            assert wrong.values == {
                "expected": "0x" + renter.signer.address.hex(),
                "recovered": "0x" + stranger.address.hex(),
            }
            conditional = await refusal(renter.pay(renter.voucher(200, condition=b"c" * 32)))
            assert conditional.error == "CONDITIONAL_PAYMENT"
            renter.terms = replace(renter.terms, salt=bytes(32))
            lost = await refusal(renter.pay(renter.voucher(200)))
            assert (lost.status, lost.error) == (404, "UNKNOWN_CHANNEL")
            renter.terms = replace(renter.terms, salt=renter.salt)
            assert await paid_total(renter) == 100

    run(tmp_path, story)


def test_many_vouchers_at_once_end_at_the_highest(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter() as other:
            await asyncio.gather(
                *(renter.pay(renter.voucher(total)) for total in range(1, 60)),
                *(other.pay(other.voucher(total)) for total in range(1, 60)),
            )
            assert (await paid_total(renter), await paid_total(other)) == (59, 59)

    run(tmp_path, story)


def test_a_voucher_buys_its_read_as_often_as_it_is_asked_for(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            first = renter.voucher(price(terms.download_price, 2_048))
            assert await renter.read(terms, 0, 2_048, first) == DATA[:2_048]
            assert await renter.read(terms, 0, 2_048, first) == DATA[:2_048]
            second = renter.voucher(first.total + price(terms.download_price, 2_952))
            assert await renter.read(terms, 2_048, 2_952, second) == DATA[2_048:]
            await rig.restart()
            assert await renter.read(terms, 0, 2_048, first) == DATA[:2_048]
            assert await paid_total(renter) == second.total

    run(tmp_path, story)


def test_a_read_wants_its_price_on_top_of_all_earned(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            cost = price(terms.download_price, 1_024)
            short = await refusal(renter.read(terms, 0, 1_024, renter.voucher(earned + cost - 1)))
            assert (short.status, short.error) == (402, "PAYMENT_TOO_LOW")
            assert short.values == {"total": earned + cost - 1, "needed": earned + cost}
            assert await paid_total(renter) == 0
            voucher = renter.voucher(earned + cost)
            assert await renter.read(terms, 0, 1_024, voucher) == DATA[:1_024]
            other = await refusal(renter.read(terms, 1_024, 1_024, voucher))
            assert other.error == "PAYMENT_TOO_LOW"

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (4_096, 905),
        (5_000, 1),
        (5_120, 1_024),
        (2**63, 1_024),
        (1, 1_024),
        (0, 1_023),
        (4_096, 903),
        (0, 5_001),
    ],
)
def test_a_range_that_is_not_of_whole_leaves_of_the_shard_is_refused(
    tmp_path: Path, offset: int, length: int
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            refused = await refusal(renter.read(terms, offset, length, renter.voucher(10**9)))
            assert (refused.status, refused.error) == (422, "READ_OUT_OF_BOUNDS")
            assert await paid_total(renter) == 0

    run(tmp_path, story)


def test_a_whole_mebibyte_is_read_in_one_step_and_no_more(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            data = content(MIB + 5)
            terms = await renter.store(data)
            voucher = renter.voucher(price(terms.download_price, MIB))
            assert await renter.read(terms, 0, MIB, voucher) == data[:MIB]
            last = renter.voucher(voucher.total + price(terms.download_price, 5))
            assert await renter.read(terms, MIB, 5, last) == data[MIB:]

    run(tmp_path, story)


def test_a_shard_that_a_read_finds_broken_or_gone_costs_nothing_and_is_given_up(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            broken, gone = await renter.store(DATA), await renter.store(DATA[:3_000])
            store = rig.farmer.farm.store
            path = store.path(renter.name(broken))
            path.write_bytes(DATA[:4_000])
            damaged = await refusal(renter.read(broken, 0, 5_000, renter.voucher(10**9)))
            assert (damaged.status, damaged.error) == (410, "SHARD_DAMAGED")
            store.delete(renter.name(gone))
            missing = await refusal(renter.read(gone, 0, 3_000, renter.voucher(10**9)))
            assert (missing.status, missing.error) == (410, "SHARD_MISSING")
            assert await paid_total(renter) == 0
            for terms in (broken, gone):
                assert (await renter.agreement(terms)).state is AgreementState.LOST
                again = await refusal(renter.read(terms, 0, 1_024, renter.voucher(10**9)))
                assert (again.error, again.values["state"]) == ("AGREEMENT_OVER", AgreementState.LOST.value)
            held = rig.farmer.holdings()
            assert (held.lost, held.quarantine.shards, path.exists()) == (2, 1, False)

    run(tmp_path, story)


def test_a_read_touches_the_leaves_asked_for_and_the_cached_tree_only(tmp_path: Path) -> None:
    data = content(300_000)

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(data)
            path = rig.farmer.farm.store.path(renter.name(terms))
            path.write_bytes(bytes(100 * 1_024) + data[102_400:110_592] + bytes(len(data) - 110_592))
            voucher = renter.voucher(price(terms.download_price, 8_192))
            assert await renter.read(terms, 102_400, 8_192, voucher) == data[102_400:110_592]

    run(tmp_path, story)


@pytest.mark.parametrize("harm", ["gone", "cut", "flipped"])
def test_a_cached_tree_that_is_unusable_is_made_anew_for_a_read(tmp_path: Path, harm: str) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            tree = rig.farmer.farm.store.path(renter.name(terms)).with_suffix(".tree")
            good = tree.read_bytes()
            if harm == "gone":
                tree.unlink()
            else:
                tree.write_bytes(good[:-1] if harm == "cut" else good[:16] + bytes(len(good) - 16))
            voucher = renter.voucher(price(terms.download_price, 1_024))
            assert await renter.read(terms, 1_024, 1_024, voucher) == DATA[1_024:2_048]
            assert tree.read_bytes() == good

    run(tmp_path, story)


def test_what_was_read_before_is_read_no_more_when_its_agreement_is_over(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter() as thief:
            terms = await renter.store(DATA)
            voucher = renter.voucher(price(terms.download_price, 5_000))
            assert await renter.read(terms, 0, 5_000, voucher) == DATA
            stolen = await refusal(thief.read(terms, 0, 5_000, thief.voucher(10**12)))
            assert stolen.error == "AGREEMENT_NOT_FOUND"
            await renter.delete(terms)
            over = await refusal(renter.read(terms, 0, 5_000, voucher))
            assert (over.status, over.error) == (409, "AGREEMENT_OVER")
            kept = await renter.store(DATA[:3_000])
            more = renter.voucher(voucher.total + price(kept.download_price, 3_000))
            assert await renter.read(kept, 0, 3_000, more) == DATA[:3_000]
            rig.clock.now = kept.end
            over = await refusal(renter.read(kept, 0, 3_000, more))
            assert (over.status, over.error) == (409, "AGREEMENT_OVER")

    run(tmp_path, story)


def test_nothing_is_read_before_it_is_stored(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.agree(DATA)
            await renter.propose(terms)
            refused = await refusal(renter.read(terms, 0, 1_024, renter.voucher(10**9)))
            assert (refused.status, refused.error) == (409, "NOT_STORED")

    run(tmp_path, story)


def test_a_full_database_acknowledges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            await renter.pay(renter.voucher(100))
            with monkeypatch.context() as patch:

                def full(*_: object, **__: object) -> None:
                    fault = sqlite3.OperationalError("database or disk is full")
                    fault.sqlite_errorcode = sqlite3.SQLITE_FULL
                    raise fault

                patch.setattr("node.farmer.vouchers.save_books", full)
                refused = await refusal(renter.pay(renter.voucher(200)))
            assert (refused.status, refused.error) == (507, "STORAGE_FULL")
            assert str(tmp_path) not in refused.message
            assert await paid_total(renter) == 100
            await renter.pay(renter.voucher(200))
            assert await paid_total(renter) == 200

    run(tmp_path, story)


def test_beyond_the_exposure_limit_nothing_is_served_until_it_is_paid(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            earned = await renter.pass_audit([terms], 0)
            limit = terms.step * 5
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(limit)))
            rig.clock.now += 3 * 86_400
            seen = await renter.see()
            assert seen.serving
            assert terms.step * 3 < seen.exposure <= limit
            rig.clock.now += 3 * 86_400
            seen = await renter.see()
            assert not seen.serving
            fresh = await renter.agree(content(100), start=rig.clock.now, end=rig.clock.now + 86_400)
            challenge = renter.challenge([terms])
            for attempt in (
                renter.read(terms, 0, 1_024, renter.voucher(earned + 10**6)),
                renter.propose(fresh),
            ):
                refused = await refusal(attempt)
                assert (refused.status, refused.error) == (402, "EXPOSURE_EXCEEDED")
                assert refused.values == {"exposure": seen.exposure, "limit": limit}
            voucher = renter.conditional(challenge, earned + terms.step)
            late = await refusal(renter.audit(challenge, voucher, renter.voucher(earned)))
            assert late.error == "EXPOSURE_EXCEEDED"
            assert await paid_total(renter) == earned

            total = earned + seen.exposure
            assert (await renter.pay(renter.voucher(total))).serving
            assert await renter.pass_audit([terms], total) == total + terms.step
            assert (await renter.propose(fresh)).state.value == "PROPOSED"

    run(tmp_path, story)


def test_auditing_the_smallest_shard_does_not_pay_for_all(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            small, large = await renter.store(content(1)), await renter.store(content(400_000))
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(large.step * 4)))
            earned = 0
            for _ in range(3):
                rig.clock.now += 86_400
                earned = await renter.pass_audit([small], earned)
                await renter.pay(renter.voucher(earned))
            exposed = (await renter.see()).exposure
            assert 2.9 * large.step < exposed <= 3.1 * large.step
            rig.clock.now += 2 * 86_400
            challenge = renter.challenge([small])
            refused = await refusal(
                renter.audit(challenge, renter.conditional(challenge, earned + small.step))
            )
            assert refused.error == "EXPOSURE_EXCEEDED"

    run(tmp_path, story)


def test_auditing_all_in_one_go_pays_for_all(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            both = [await renter.store(content(1_000)), await renter.store(content(400_000))]
            rig.clock.now += 86_400
            earned = await renter.pass_audit(both, 0)
            assert (await renter.pay(renter.voucher(earned))).exposure == 0

    run(tmp_path, story)
