"""Audits: voucher and proof are on disk before the answer, and every way to cheat or to fail has its name."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from node.agreement import Agreement
from node.audit import Challenge, Item, verify_proof
from node.messages import Behind, Declined, Proven
from payments.types import Amount
from settlement.wallet import new_key
from tests.node.farmer.support import Renter, Rig, content, refusal, run

DATA = content(5_000)


def flip(rig: Rig, renter: Renter, terms: Agreement, at: int) -> None:
    path = rig.farmer.farm.store.path(renter.name(terms))
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_same_challenge_gets_the_same_answer_even_after_a_restart(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            challenge = renter.challenge([terms], 1, 2)
            voucher = renter.conditional(challenge, terms.step)
            first = await renter.audit(challenge, voucher)
            assert await renter.audit(challenge, voucher) == first
            rig.farmer.farm.store.delete(renter.name(terms))
            await rig.restart()
            assert await renter.audit(challenge, voucher) == first
            assert (await rig.farmer.status()).audits_passed == 1

    run(tmp_path, story)


def test_what_was_proven_must_be_paid_before_the_next_challenge(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            first = renter.challenge([terms], 3)
            held = renter.conditional(first, terms.step)
            proven = (await renter.audit(first, held)).root
            assert isinstance(proven, Proven)
            second = renter.challenge([terms], 4)
            for paid in (None, renter.voucher(terms.step - 1)):
                answer = (await renter.audit(second, renter.conditional(second, terms.step), paid)).root
                assert isinstance(answer, Behind)
                assert (answer.voucher.core(), answer.challenge.core()) == (held, first)
                assert answer.proof == proven.proof
            seen = await renter.see()
            assert seen.proven is not None
            assert seen.proven.voucher.core() == held
            paid = renter.voucher(terms.step)
            answer = (await renter.audit(second, renter.conditional(second, 2 * terms.step), paid)).root
            assert isinstance(answer, Proven)

    run(tmp_path, story)


def test_vouchers_that_do_not_fit_are_refused_with_both_values(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            challenge = renter.challenge([terms])
            step = terms.step

            wrong = await refusal(renter.audit(challenge, renter.conditional(challenge, step - 1)))
            assert wrong.error == "WRONG_STEP"
            assert wrong.values == {"total": step - 1, "expected": step}
            above = await refusal(renter.audit(challenge, renter.conditional(challenge, step + 1)))
            assert above.error == "WRONG_STEP"
            other = renter.challenge([terms])
            assert (await refusal(renter.audit(challenge, renter.conditional(other, step)))).error == (
                "WRONG_CONDITION"
            )
            assert (await refusal(renter.audit(challenge, renter.voucher(step)))).error == "WRONG_CONDITION"
            forged = renter.conditional(challenge, step)
            forged = replace(forged, signature=new_key().sign(b"x" * 32))
            refused = await refusal(renter.audit(challenge, forged))
            assert (refused.status, refused.error) == (422, "WRONG_SIGNER")
            seen = await renter.see()
            assert (seen.paid, seen.proven) == (None, None)

    run(tmp_path, story)


def test_a_step_beyond_the_deposit_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter(deposit=10**15) as renter:
            terms = await renter.store(DATA, step=Amount(10**15))
            challenge = renter.challenge([terms])
            paid = renter.voucher(1)
            refused = await refusal(renter.audit(challenge, renter.conditional(challenge, 10**15 + 1), paid))
            assert refused.error == "ABOVE_DEPOSIT"
            assert refused.values["deposit"] == 10**15
            assert (await renter.see()).paid is not None

    run(tmp_path, story)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"indices": (2, 1)}, 422, "BAD_INDICES"),
        ({"indices": (1, 1)}, 422, "BAD_INDICES"),
        ({"indices": (5,)}, 422, "BAD_INDICES"),
        ({"indices": ()}, 422, "BAD_INDICES"),
        ({"leaf_count": 6}, 422, "ITEM_DIFFERS"),
        ({"data_root": b"?" * 32}, 422, "ITEM_DIFFERS"),
        ({"agreement": b"?" * 32}, 404, "UNKNOWN_AGREEMENT"),
    ],
)
def test_items_that_are_not_ours_are_refused(
    tmp_path: Path, change: dict[str, object], status: int, error: str
) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            item = replace(renter.challenge([terms], 0).items[0], **change)  # type: ignore[arg-type]
            challenge = Challenge(os.urandom(32), (item,))
            refused = await refusal(renter.audit(challenge, renter.conditional(challenge, terms.step)))
            assert (refused.status, refused.error) == (status, error)
            assert (await renter.see()).proven is None

    run(tmp_path, story)


def test_an_empty_or_repeating_challenge_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter, rig.renter() as other:
            terms = await renter.store(DATA)
            foreign = await other.store(DATA)
            item = renter.challenge([terms]).items[0]
            theirs = Item(other.name(foreign), foreign.data_root, foreign.leaf_count, (0,))
            for items, error in (
                ((), "EMPTY_CHALLENGE"),
                ((item, item), "REPEATED_AGREEMENT"),
                ((item, theirs), "UNKNOWN_AGREEMENT"),
            ):
                challenge = Challenge(os.urandom(32), items)
                voucher = renter.conditional(challenge, len(items) * terms.step)
                assert (await refusal(renter.audit(challenge, voucher))).error == error

    run(tmp_path, story)


def test_a_batch_is_proven_whole_or_declined_by_name(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            shards = [content(3_000 + n, f"shard {n}") for n in range(4)]
            agreements = [await renter.store(shard) for shard in shards]
            flip(rig, renter, agreements[1], 10)
            rig.farmer.farm.store.delete(renter.name(agreements[2]))
            challenge = renter.challenge(agreements)
            total = sum(terms.step for terms in agreements)
            answer = (await renter.audit(challenge, renter.conditional(challenge, total))).root
            assert isinstance(answer, Declined)
            assert answer.agreements == (renter.name(agreements[1]), renter.name(agreements[2]))
            assert (await renter.see()).proven is None

            rest = [agreements[0], agreements[3]]
            challenge = renter.challenge(rest)
            total = sum(terms.step for terms in rest)
            answer = (await renter.audit(challenge, renter.conditional(challenge, total))).root
            assert isinstance(answer, Proven)
            assert all(verdict.good for verdict in verify_proof(challenge, answer.proof.core()))
            status = await rig.farmer.status()
            assert (status.audits_passed, status.audits_failed) == (1, 1)

    run(tmp_path, story)


def test_declining_keeps_the_payment_that_came_along(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            await renter.pass_audit([terms], 0)
            flip(rig, renter, terms, 0)
            challenge = renter.challenge([terms], 0)
            paid = renter.voucher(terms.step)
            answer = await renter.audit(challenge, renter.conditional(challenge, 2 * terms.step), paid)
            assert answer.root.status == "DECLINED"
            seen = await renter.see()
            assert seen.paid is not None
            assert (seen.paid.core(), seen.proven) == (paid, None)

    run(tmp_path, story)


def test_damage_elsewhere_in_the_shard_does_not_fail_an_audit(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            flip(rig, renter, terms, 4_500)
            assert await renter.pass_audit([terms], 0) == terms.step

    run(tmp_path, story)


def test_only_one_of_two_simultaneous_challenges_is_proven(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            challenges = [renter.challenge([terms], index) for index in (0, 1, 2)]
            answers = await asyncio.gather(
                *(renter.audit(one, renter.conditional(one, terms.step)) for one in challenges)
            )
            assert sorted(answer.root.status for answer in answers) == ["BEHIND", "BEHIND", "PROVEN"]

    run(tmp_path, story)


def test_a_payment_in_between_reissues_both_vouchers_with_the_same_condition(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await renter.store(DATA)
            challenge = renter.challenge([terms])
            price = -(-terms.download_price * 1_024 // 10**9)
            await renter.read(terms, 0, 1_024, renter.voucher(price))
            late = await refusal(renter.audit(challenge, renter.conditional(challenge, terms.step)))
            assert late.error == "WRONG_STEP"
            again = renter.conditional(challenge, price + terms.step)
            answer = await renter.audit(challenge, again, renter.voucher(price))
            assert answer.root.status == "PROVEN"

    run(tmp_path, story)


def test_a_challenge_worth_more_than_the_exposure_limit_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            agreements = [await renter.store(content(3_000, str(n))) for n in range(3)]
            total = sum(terms.step for terms in agreements)
            rig.farmer.reconfigure(replace(rig.config, max_exposure=Amount(total - 1)))
            challenge = renter.challenge(agreements)
            refused = await refusal(renter.audit(challenge, renter.conditional(challenge, total)))
            assert (refused.status, refused.error) == (402, "STEP_ABOVE_EXPOSURE")
            assert refused.values == {"step": total, "limit": total - 1}
            assert await renter.pass_audit(agreements[:2], 0)

    run(tmp_path, story)
