"""Audits with real farmers: what passes earns once, what fails earns nothing, whatever gets lost."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from node.audit import Outcome
from node.db.farmer import list_books
from node.db.renter_audits import find_audit, load_decisions, load_open_audits
from node.db.renter_shards import load_farmer_shards
from node.renter.errors import FileUnavailable, UnknownFile
from node.renter.limits import Limits
from node.renter.reports import AuditReport, Trouble
from payments.types import Amount, NodeId
from tests.node.renter.support import DEADLINE, PRICES, Neighbour, Village, content, outcomes, tell

DATA = content(60_000)
AUDIT, READ = "POST /v1/audits", "POST /v1/agreements"


async def stored(place: Village, n: int = 2, deposit: int = 10**17) -> None:
    """Three shards with each farmer."""
    await place.fund(deposit)
    await place.store("file", DATA, k=1, n=n, segment_size=20_000)


def step(place: Village, node: NodeId) -> int:
    """What one audit of all the shards at a farmer is worth."""
    shards = place.database.read(lambda conn: load_farmer_shards(conn, node))
    return sum(shard.agreement.step for shard in shards)


def of(report: AuditReport, farmer: Neighbour) -> dict[str, int]:
    results = tuple(result for result in report.results if result.farmer == farmer.node)
    return outcomes(AuditReport(results))


def books(farmer: Neighbour) -> tuple[int, int]:
    """What the farmer was paid without condition, and what it has earned."""
    (book,) = farmer.farmer.farm.database.read(list_books)
    return book.earnings.covered, book.earnings.earned


def forge(body: bytes) -> bytes:
    """Change one digit of every leaf of a proof."""
    said = json.loads(body)
    for item in said["proof"]["items"]:
        item["leaves"] = [leaf[:-1] + ("0" if leaf[-1] != "0" else "1") for leaf in item["leaves"]]
    return json.dumps(said).encode()


def copy(folder: Path) -> dict[Path, bytes]:
    """Back the renter's database up."""
    return {path: path.read_bytes() for path in folder.glob("renter.db*")}


def restore(folder: Path, backup: dict[Path, bytes]) -> None:
    for path in folder.glob("renter.db*"):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)


def still_open(place: Village) -> int:
    return len(place.database.read(load_open_audits))


def test_a_passed_audit_earns_its_step_and_is_paid(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        report = await place.renter.audits.audit(rounds=3)
        assert outcomes(report) == {"PASSED": 18}
        assert report.faults == ()
        for farmer in place.farmers:
            worth = 3 * step(place, farmer.node)
            assert place.earned(farmer.node) == worth
            assert books(farmer) == (worth, worth)
            assert sum(r.earned for r in report.results if r.farmer == farmer.node) == worth
        assert sorted(payment.total for payment in report.payments) == sorted(
            3 * step(place, farmer.node) for farmer in place.farmers
        )
        with pytest.raises(UnknownFile):
            await place.renter.audits.audit(["no such file"])
        assert (await place.renter.audits.audit([])).results == ()

    tell(tmp_path, story, farmers=2)


def test_a_farmer_that_threw_shards_away_fails_for_those_and_earns_for_the_others(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        poor, good = place.farmers[0], place.farmers[1]
        one_step = step(place, poor.node) // 3
        poor.shards[0].unlink()
        report = await place.renter.audits.audit()
        assert of(report, poor) == {"FAILED": 1, "PASSED": 2}
        assert of(report, good) == {"PASSED": 3}
        assert place.earned(poor.node) == 2 * one_step
        for path in poor.shards:
            path.unlink()
        report = await place.renter.audits.audit(rounds=2)
        assert of(report, poor) == {"FAILED": 2}
        assert of(report, good) == {"PASSED": 6}
        assert place.earned(poor.node) == 2 * one_step
        assert books(poor) == (2 * one_step, 2 * one_step)
        assert place.renter.files.stat("file").healthy == (1, 1, 1)

    tell(tmp_path, story, farmers=2)


def test_a_farmer_with_changed_bytes_fails_as_soon_as_a_leaf_is_hit(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        liar = place.farmers[0]
        for path in liar.shards:
            path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
        assert of(await place.renter.audits.audit(), liar) == {"FAILED": 3}
        assert place.earned(liar.node) == 0

    tell(tmp_path, story, farmers=2)


def test_a_forged_proof_fails_and_earns_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (liar,) = place.farmers
        assert liar.wire
        liar.wire.tamper = lambda path, body: forge(body) if path == "/v1/audits" else body
        assert of(await place.renter.audits.audit(), liar) == {"FAILED": 3}
        assert place.earned(liar.node) == 0

    tell(tmp_path, story, farmers=1, wired=True)


def test_an_absent_farmer_is_offline_and_catches_up_later(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        absent = place.farmers[0]
        await absent.stop()
        report = await place.renter.audits.audit(rounds=2)
        assert of(report, absent) == {"OFFLINE": 6}
        assert not any(result.decided for result in report.results if result.farmer == absent.node)
        assert {fault.trouble for fault in report.faults} == {Trouble.OFFLINE}
        assert still_open(place) == 1
        shards = place.renter.files.stat("file").shards
        assert {one.farmer for one in shards if one.unanswered_since == place.clock.now} == {absent.node}
        await absent.start()
        report = await place.renter.audits.audit()
        assert of(report, absent) == {"PASSED": 3}
        assert not any(one.unanswered_since for one in place.renter.files.stat("file").shards)
        assert place.earned(absent.node) == step(place, absent.node)
        assert still_open(place) == 0

    tell(tmp_path, story, farmers=2)


@pytest.mark.parametrize("late", [False, True], ids=["open", "given up"])
def test_proof_that_only_the_contract_has_seen_passes_the_audit(tmp_path: Path, *, late: bool) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_answers.append(AUDIT)
        await place.renter.audits.audit()
        if late:
            place.clock.pass_time(DEADLINE)
            assert of(await place.renter.audits.audit(), farmer) == {"OFFLINE": 3}
        assert place.earned(farmer.node) == 0
        (info,) = place.renter.channels.list()
        await place.renter.exits.send(await place.renter.exits.plan_close([info.channel.id]))
        await farmer.farmer.follow()
        await farmer.farmer.collect(everything=True)
        await place.renter.channels.refresh()
        total = Amount(step(place, farmer.node))
        assert place.renter.channels.show(info.channel.id).channel.claimed == total
        assert still_open(place) == 0
        audit = place.database.read(lambda conn: find_audit(conn, info.channel.id, total))
        assert audit is not None
        decisions = place.database.read(lambda conn: load_decisions(conn, audit.audit_id))
        assert [one.outcome for one in decisions] == [Outcome.PASSED] * 3
        assert place.renter.peers.lapses()[farmer.node] == 0

    tell(tmp_path, story, farmers=1, wired=True)


def test_an_absent_farmer_is_given_up_when_its_window_has_closed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place)
        absent = place.farmers[0]
        await absent.stop()
        await place.renter.audits.audit()
        place.clock.pass_time(DEADLINE)
        report = await place.renter.audits.audit()
        assert of(report, absent) == {"OFFLINE": 3}
        assert all(result.decided for result in report.results)
        assert still_open(place) == 0
        assert place.renter.peers.lapses()[absent.node] == 1
        assert place.renter.files.stat("file").healthy == (2, 2, 2)
        await absent.start()
        assert of(await place.renter.audits.audit(), absent) == {"PASSED": 3}
        assert place.renter.peers.lapses()[absent.node] == 0

    tell(tmp_path, story, farmers=2)


@pytest.mark.hurried
def test_a_silent_farmer_fails_after_three_tries(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (silent,) = place.farmers
        assert silent.wire
        silent.wire.stalls.append("")
        for _ in range(3):
            report = await place.renter.audits.audit()
            assert of(report, silent) == {"TIMED_OUT": 3}
            place.clock.pass_time(DEADLINE // 3)
        report = await place.renter.audits.audit()
        assert of(report, silent) == {"FAILED": 3}
        assert len({body for line, body in silent.wire.bodies if line == AUDIT}) == 1
        silent.wire.stalls.clear()
        assert (await place.renter.audits.audit()).results == ()
        assert place.earned(silent.node) == 0

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_lost_answer_is_asked_for_again_with_the_same_message(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_answers.append(AUDIT)
        report = await place.renter.audits.audit()
        assert of(report, farmer) == {"OFFLINE": 3}
        assert books(farmer) == (0, step(place, farmer.node))
        assert place.earned(farmer.node) == 0
        farmer.wire.lose_answers.clear()
        await place.restart_renter()
        assert of(await place.renter.audits.audit(), farmer) == {"PASSED": 3}
        assert len({body for line, body in farmer.wire.bodies if line == AUDIT}) == 1
        assert books(farmer) == (step(place, farmer.node),) * 2

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_proof_whose_answer_was_lost_is_shown_with_the_next_audit_and_paid_once(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        worth = step(place, farmer.node)
        farmer.wire.lose_answers.append(AUDIT)
        await place.renter.audits.audit()
        farmer.wire.lose_answers.clear()
        farmer.wire.lose_requests.append(AUDIT)
        place.clock.pass_time(DEADLINE)
        assert of(await place.renter.audits.audit(), farmer) == {"OFFLINE": 3}
        farmer.wire.lose_requests.clear()
        assert of(await place.renter.audits.audit(), farmer) == {"PASSED": 3}
        assert place.earned(farmer.node) == 2 * worth
        assert books(farmer) == (2 * worth, 2 * worth)

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_read_while_an_audit_is_open_reissues_its_voucher(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_requests.append(AUDIT)
        await place.renter.audits.audit()
        report = await place.renter.files.get("file", tmp_path / "out")
        assert report.paid > 0
        farmer.wire.lose_requests.clear()
        assert of(await place.renter.audits.audit(), farmer) == {"PASSED": 3}
        worth = report.paid + step(place, farmer.node)
        assert place.earned(farmer.node) == worth
        assert books(farmer) == (worth, worth)

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_read_after_a_proof_whose_answer_was_lost_pays_both_once(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_answers.append(AUDIT)
        await place.renter.audits.audit()
        report = await place.renter.files.get("file", tmp_path / "out")
        assert report.faults == ()
        assert still_open(place) == 0
        earned = place.earned(farmer.node)
        assert books(farmer) == (earned, earned)
        assert earned <= report.paid + step(place, farmer.node)
        farmer.wire.lose_answers.clear()
        assert of(await place.renter.audits.audit(), farmer) == {"PASSED": 3}

    tell(tmp_path, story, farmers=1, wired=True)


def test_nothing_is_signed_above_the_deposit(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1, deposit=10**15)
        (farmer,) = place.farmers
        worth = step(place, farmer.node)
        report = await place.renter.audits.audit(rounds=10**15 // worth + 1)
        assert of(report, farmer) == {"PASSED": 3 * (10**15 // worth), "UNCHECKED": 3}
        (fault,) = report.faults
        assert fault.trouble is Trouble.NO_MONEY
        assert "tithe channel fund" in fault.reason
        (info,) = place.renter.channels.list()
        assert info.channel.promised <= info.channel.deposit == 10**15

    dear = replace(PRICES, per_audit=Amount(10**14))
    tell(tmp_path, story, farmers=1, prices=dear, limits=Limits(dear))


def test_a_farmer_that_lends_little_is_asked_for_few_shards_at_a_time(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        one_step = step(place, farmer.node) // 3
        farm = farmer.farmer.farm
        farm.config = replace(farm.config, max_exposure=Amount(one_step + 1))
        report = await place.renter.audits.audit(rounds=2)
        assert of(report, farmer) == {"PASSED": 6}

    tell(tmp_path, story, farmers=1)


def test_arrears_are_paid_once_and_audits_go_on(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        worth = step(place, farmer.node)
        farm = farmer.farmer.farm
        farm.config = replace(farm.config, max_exposure=Amount(4 * worth))
        place.clock.pass_time(10 * 3_600)
        report = await place.renter.audits.audit(rounds=2)
        assert of(report, farmer) == {"PASSED": 6}
        earned = place.earned(farmer.node)
        assert 8 * worth - 10 <= earned <= 9 * worth
        assert books(farmer) == (earned, earned)

    tell(tmp_path, story, farmers=1)


def test_a_restored_renter_learns_what_it_had_signed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        await place.close_renter()
        backup = copy(tmp_path)
        await place.open_renter()
        await place.renter.audits.audit(rounds=2)
        farmer.wire.lose_answers.append(AUDIT)
        await place.renter.audits.audit()
        farmer.wire.lose_answers.clear()
        paid, earned = books(farmer)
        assert earned > paid > 0
        await place.close_renter()
        restore(tmp_path, backup)
        await place.open_renter()
        assert place.earned(farmer.node) == 0
        report = await place.renter.audits.audit()
        assert of(report, farmer) == {"PASSED": 3}
        worth = earned + step(place, farmer.node)
        assert place.earned(farmer.node) == worth
        assert books(farmer) == (worth, worth)

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_farmer_we_forgot_is_not_blamed(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        await place.renter.peers.remove(farmer.node)
        report = await place.renter.audits.audit()
        assert of(report, farmer) == {"UNCHECKED": 3}
        assert {fault.trouble for fault in report.faults} == {Trouble.NOT_ASKED}
        for _ in range(4):
            place.clock.pass_time(DEADLINE // 3)
            await place.renter.audits.audit()
        assert {shard.outcome for shard in place.renter.files.stat("file").shards} == {Outcome.UNCHECKED}
        await place.renter.peers.add(farmer.url)
        assert of(await place.renter.audits.audit(), farmer) == {"PASSED": 3}

    tell(tmp_path, story, farmers=1)


def test_what_is_lost_stays_lost_and_unpaid(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        saved = {path: path.read_bytes() for path in farmer.shards}
        for path in saved:
            path.unlink()
        assert of(await place.renter.audits.audit(), farmer) == {"FAILED": 3}
        for path, data in saved.items():
            path.write_bytes(data)
        assert (await place.renter.audits.audit()).results == ()
        shards = place.renter.files.stat("file").shards
        assert {shard.outcome for shard in shards} == {Outcome.FAILED}

    tell(tmp_path, story, farmers=1)


def test_a_read_pays_arrears_that_cost_more_than_itself(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await stored(place, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farm = farmer.farmer.farm
        farm.config = replace(farm.config, max_exposure=Amount(4 * step(place, farmer.node)))
        place.clock.pass_time(10 * 3_600)
        farmer.wire.lose_requests.append("POST /v1/vouchers")
        with pytest.raises(FileUnavailable):
            await place.read("file")
        farmer.wire.lose_requests.clear()
        place.clock.pass_time(3_600)
        assert await place.read("file") == DATA
        earned = place.earned(farmer.node)
        assert books(farmer) == (earned, earned)

    cheap = replace(PRICES, download_per_gb=Amount(1))
    tell(tmp_path, story, farmers=1, wired=True, prices=cheap)
