"""A farmer whose books are older than its own signature: what it takes back, and what it does not."""

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.agreement import Agreement, agreement_id, countersign_agreement, sign_agreement
from node.db.farmer import TABLES
from node.db.farmer_agreements import load_sums
from node.db.restoration import load_restoration
from node.farmer.restored import begin_again
from node.identity import NodeKey
from node.messages import AgreementMessage, AgreementState, AgreementView, CountersignedAgreement
from node.transport import PeerRefused
from payments.types import Timestamp
from settlement.copies import copy_database
from settlement.database import Database
from settlement.tables import TABLES as CHAIN_TABLES
from tests.node.farmer.support import Renter, Rig, build, content, run

DATA = content(3_000)


async def hand_back(renter: Renter, terms: Agreement, **changes: Any) -> AgreementView:  # noqa: ANN401 - any field
    """Show the farmer what it has signed."""
    message = CountersignedAgreement(
        agreement=AgreementMessage.of(terms),
        renter_signature=sign_agreement(renter.domain, terms, renter.signer),
        farmer_signature=countersign_agreement(renter.domain, terms, renter.rig.node_key),
    )
    path = f"/v1/agreements/0x{agreement_id(renter.domain, terms).hex()}"
    return await renter.transport.post(renter.target, path, message.model_copy(update=changes), AgreementView)


async def stored_and_forgotten(rig: Rig, renter: Renter) -> Agreement:
    """An agreement that is newer than the books."""
    copy = rig.folder / "copy.db"
    copy_database(rig.places.money, copy)
    terms = await renter.store(DATA)
    await go_back(rig, copy)
    return terms


def replace_books(money: Path, copy: Path) -> None:
    for file in money.parent.glob(f"{money.name}*"):
        file.unlink()
    copy.rename(money)


async def go_back(rig: Rig, copy: Path) -> None:
    """Go on from a copy of the books."""
    await rig.daemon.stop()
    replace_books(rig.places.money, copy)
    now = Timestamp(rig.clock.now)
    with closing(Database.at(rig.places.money, [*CHAIN_TABLES, *TABLES])) as database:
        database.write_sync(lambda conn: begin_again(conn, now, now))
    rig.daemon = await build(rig).start()
    assert rig.farmer.farm.database.read(load_restoration)


def test_an_agreement_it_has_signed_and_stores_is_in_force_again(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            terms = await stored_and_forgotten(rig, renter)
            for _ in range(2):  # the second time changes nothing
                view = await hand_back(renter, terms)
                assert view.state is AgreementState.STORED
                sums = rig.farmer.farm.database.read(lambda conn: load_sums(conn, renter.key.node))
                assert (sums.stored, sums.stored_bytes) == (1, len(DATA))
            assert await renter.pass_audit([terms], 0) == terms.step
            await renter.delete(terms)
            with pytest.raises(PeerRefused, match="DELETED"):
                await hand_back(renter, terms)

    run(tmp_path, story)


def test_what_it_has_not_signed_or_does_not_store_is_refused(tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        stranger = NodeKey(bytes(range(32)))
        async with rig.renter() as renter, rig.renter(deposit=0, opened=False) as other:
            terms = await stored_and_forgotten(rig, renter)
            forged = countersign_agreement(renter.domain, terms, stranger)
            longer = replace(terms, shard_length=terms.shard_length + 1)
            elsewhere = replace(terms, farmer=stranger.node)
            over = replace(terms, end=Timestamp(rig.clock.now))
            for by, what, code, changes in (
                (renter, terms, "WRONG_FARMER_SIGNATURE", {"farmer_signature": forged}),
                (renter, elsewhere, "WRONG_FARMER", {}),
                (other, terms, "WRONG_RENTER", {}),
                (renter, replace(terms, renter=other.key.node), "WRONG_RENTER", {}),
                (renter, longer, "SHARD_MISSING", {}),
                (renter, over, "AGREEMENT_OVER", {}),
                (other, replace(terms, renter=other.key.node), "NO_CHANNEL", {}),
            ):
                with pytest.raises(PeerRefused) as refused:
                    await hand_back(by, what, **changes)
                assert refused.value.error == code
            path = rig.farmer.farm.store.path(renter.name(terms))
            path.write_bytes(content(len(DATA), "other"))
            with pytest.raises(PeerRefused) as refused:
                await hand_back(renter, terms)
            assert refused.value.error == "WRONG_DATA_ROOT"
            with pytest.raises(PeerRefused) as refused:
                await renter.agreement(terms)
            assert refused.value.error == "AGREEMENT_NOT_FOUND"

    run(tmp_path, story)


def test_books_from_before_a_renewal_find_its_bytes_under_the_new_name(tmp_path: Path) -> None:
    """Old as the file may be: a renewal is as young as its agreement, and the scan leaves it."""

    async def story(rig: Rig) -> None:
        async with rig.renter() as renter:
            shards = [content(3_000, str(number)) for number in range(12)]  # more than may be gone
            before = [await renter.store(shard) for shard in shards]
            for file in rig.places.shards.rglob("*.shard"):
                os.utime(file, (0, 0))
            copy = rig.folder / "copy.db"
            copy_database(rig.places.money, copy)
            renewed = []
            for shard, terms in zip(shards, before, strict=True):
                renewal = await renter.agree(shard, end=Timestamp(terms.end + 100))
                assert (await renter.propose(renewal)).state is AgreementState.STORED
                await renter.delete(terms)
                renewed.append(renewal)
            await go_back(rig, copy)
            assert {(await renter.agreement(terms)).state for terms in before} == {AgreementState.STORED}
            await rig.farmer.hurry_scan(5, 0)
            for terms in renewed:
                assert (await hand_back(renter, terms)).state is AgreementState.STORED

    run(tmp_path, story)
