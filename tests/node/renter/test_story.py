"""The whole life of a file with real farmers: funded, stored, audited, paid, read back, removed."""

from pathlib import Path

from tests.node.renter.support import Village, content, outcomes, tell


def test_a_file_is_stored_audited_paid_and_read_back(tmp_path: Path) -> None:
    data = content(100_000)

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("a file", data, segment_size=40_000)
        (file,) = place.renter.files.ls()
        assert (file.name, file.size, file.k, file.n, file.segments) == ("a file", 100_000, 1, 4, 3)
        report = await place.renter.audits.audit(rounds=2)
        assert outcomes(report) == {"PASSED": 24}
        assert all(payment.delivered for payment in report.payments)
        assert len(report.payments) == 4
        assert await place.read("a file") == data

    tell(tmp_path, story)
