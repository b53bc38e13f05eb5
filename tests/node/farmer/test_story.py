"""The whole life of a shard with a farmer: channel, agreement, upload, audits, payments, reads, claim."""

from pathlib import Path

import pytest

from node.audit import verify_proof
from node.messages import AgreementState, Proven
from tests.databases import Kind
from tests.node.farmer.support import Rig, content, run


@pytest.mark.parametrize("kind", list(Kind))
def test_a_shard_is_stored_audited_paid_read_and_claimed(
    tmp_path: Path, kind: Kind, request: pytest.FixtureRequest
) -> None:
    database: str | None = None
    if kind is Kind.POSTGRESQL:
        database = request.getfixturevalue("postgresql").url

    async def story(rig: Rig) -> None:
        data = content(5_000)
        async with rig.renter() as renter:
            seen = await renter.see()
            assert (seen.serving, seen.deposit, seen.paid, seen.exposure) == (True, 10**18, None, 0)
            terms = await renter.store(data)
            view = await renter.agreement(terms)
            assert view.state is AgreementState.STORED
            assert view.farmer_signature is not None

            challenge = renter.challenge([terms], 0, 3, 4)
            answer = (await renter.audit(challenge, renter.conditional(challenge, terms.step))).root
            assert isinstance(answer, Proven)
            verdicts = verify_proof(challenge, answer.proof.core(), {renter.name(terms): len(data)})
            assert all(verdict.good for verdict in verdicts)

            earned = await renter.pass_audit([terms], terms.step)
            seen = await renter.pay(renter.voucher(earned))
            assert seen.paid is not None
            assert seen.paid.voucher.cumulative_amount == earned
            price = -(-terms.download_price * len(data) // 10**9)
            assert await renter.read(terms, 0, len(data), renter.voucher(earned + price)) == data

            (outcome,) = await rig.farmer.collect()
            assert outcome.claimed == earned + price
            balance = await rig.world.chain.token_balance(rig.config.payee)
            assert balance == earned + price
            status = await rig.farmer.status()
            assert (status.earned, status.claimable, status.claimed) == (balance, 0, balance)
            assert (status.audits_passed, status.audits_failed, status.shards) == (2, 0, 1)

    run(tmp_path, story, database=database)
    assert (tmp_path / "money.db").exists() == (kind is Kind.SQLITE)
