"""A read is paid when it comes: who delivers nothing holds one price at most, however often it is asked."""

import json
from pathlib import Path

import pytest

from node.renter.errors import FileUnavailable
from tests.node.renter.support import Village, content, outcomes, tell

READ = "POST /v1/agreements"
DATA = content(10_000)


async def fail_three_times(place: Village, out: Path) -> None:
    for _ in range(3):
        with pytest.raises(FileUnavailable):
            await place.renter.files.get("file", out)


def totals(place: Village) -> list[int]:
    """The totals of all vouchers for reads that left."""
    wire = place.farmers[0].wire
    assert wire
    bodies = [body for line, body in wire.bodies if line.endswith("/read")]
    return [int(json.loads(body)["payment"]["voucher"]["cumulative_amount"]) for body in bodies]


@pytest.mark.parametrize("how", ["lost", "BUSY", "PAYMENT_TOO_LOW", "RATE_LIMITED"])
def test_reads_that_never_come_cost_one_price_at_most(tmp_path: Path, how: str) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=1)
        (farmer,) = place.farmers
        wire = farmer.wire
        assert wire
        if how == "lost":
            wire.lose_requests.append(READ)
        else:
            wire.refuse[READ] = how
        await fail_three_times(place, tmp_path / "out")
        assert place.earned(farmer.node) == 0
        wire.lose_requests.clear()
        wire.refuse.clear()
        place.clock.pass_time(60)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": 1}
        step = sum(result.earned for result in report.results)
        assert [payment.total for payment in report.payments] == [step]
        assert place.earned(farmer.node) == step
        assert len(set(totals(place))) <= 1
        got = await place.renter.files.get("file", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == DATA
        assert place.earned(farmer.node) == step + got.paid
        assert got.paid == totals(place)[-1] - step

    tell(tmp_path, story, farmers=1, wired=True)


def test_a_lost_answer_is_booked_when_the_farmer_shows_its_voucher(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", DATA, k=1, n=1)
        (farmer,) = place.farmers
        assert farmer.wire
        farmer.wire.lose_answers.append(READ)
        with pytest.raises(FileUnavailable):
            await place.renter.files.get("file", tmp_path / "out")
        farmer.wire.lose_answers.clear()
        place.clock.pass_time(60)
        report = await place.renter.audits.audit()
        assert outcomes(report) == {"PASSED": 1}
        step = sum(result.earned for result in report.results)
        assert place.earned(farmer.node) == step + (totals(place) or [0])[-1]

    tell(tmp_path, story, farmers=1, wired=True)
