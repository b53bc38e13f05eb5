"""The whole life of a file with real farmers: funded, stored, audited, paid, read back, removed."""

from pathlib import Path

from tests.databases import Place
from tests.node.renter.support import Village, content, outcomes, tell


def test_a_file_is_stored_audited_paid_and_read_back(tmp_path: Path, place: Place) -> None:
    data = content(100_000)

    async def story(village: Village) -> None:
        await village.fund()
        await village.store("a file", data, segment_size=40_000)
        (file,) = village.renter.files.ls()
        assert (file.name, file.size, file.k, file.n, file.segments) == ("a file", 100_000, 1, 4, 3)
        report = await village.renter.audits.audit(rounds=2)
        assert outcomes(report) == {"PASSED": 24}
        assert all(payment.delivered for payment in report.payments)
        assert len(report.payments) == 4
        assert await village.read("a file") == data
        await village.restart_renter()
        assert outcomes(await village.renter.audits.audit()) == {"PASSED": 12}

    tell(tmp_path, story, books=place)
