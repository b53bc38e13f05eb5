"""One operator with several identities: it can only answer for the shards that it really stores.

It holds k shards and has thrown the others away, to recompute them when they are asked for. That is the best
it can do: from any k shards it can decode all n. With masks, what it decodes is noise.
"""

from pathlib import Path

import pytest

from node.cipher import Mask
from node.db.renter_files import FileState, load_file
from node.db.renter_shards import load_shards
from node.erasure import Codec
from node.renter.reports import AuditReport
from tests.node.renter.support import Neighbour, Village, content, outcomes, tell

K, N = 3, 6
DATA = content(400_000)


def leave_unmasked(patch: pytest.MonkeyPatch) -> None:
    """Let a put store the plain parts of the erasure code."""

    def apply(_: Mask, shard: memoryview, into: bytearray | None = None, offset: int = 0) -> memoryview:  # noqa: ARG001 - as the real one
        return memoryview(shard if into is None else into)

    patch.setattr(Mask, "apply", apply)


def indices(place: Village) -> dict[bytes, int]:
    """Which shard of the file each farmer has."""
    file = place.database.read(lambda conn: load_file(conn, "file", FileState.STORED))
    assert file is not None
    shards = place.database.read(lambda conn: load_shards(conn, file.file_id))
    return {shard.agreement.farmer: shard.index for shard in shards}


def recompute(place: Village, kept: list[Neighbour], thrown_away: list[Neighbour]) -> int:
    """Write what the kept shards say the others are over those; how many of them it got right."""
    index = indices(place)
    known = {index[one.node]: one.shards[0].read_bytes() for one in kept}
    wanted = [index[one.node] for one in thrown_away]
    right = 0
    for one, shard in zip(thrown_away, Codec(K, N).rebuild(known, wanted), strict=True):
        (path,) = one.shards
        right += path.read_bytes() == bytes(shard)
        path.write_bytes(shard)
        path.with_suffix(".tree").unlink()
    return right


def of(report: AuditReport, farmers: list[Neighbour]) -> dict[str, int]:
    nodes = {one.node for one in farmers}
    return outcomes(AuditReport(tuple(result for result in report.results if result.farmer in nodes)))


@pytest.mark.parametrize("masked", [True, False])
def test_an_operator_with_k_shards_answers_for_no_more_than_k_identities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masked: bool
) -> None:
    async def story(place: Village) -> None:
        if not masked:
            leave_unmasked(monkeypatch)
        await place.fund()
        await place.store("file", DATA, k=K, n=N)
        kept, thrown_away = place.farmers[:K], place.farmers[K:]
        right = recompute(place, kept, thrown_away)
        report = await place.renter.audits.audit()
        assert of(report, kept) == {"PASSED": K}
        assert (right, of(report, thrown_away)) == (
            (0, {"FAILED": N - K}) if masked else (N - K, {"PASSED": N - K})
        )
        earned = sum(place.earned(one.node) for one in thrown_away)
        assert bool(earned) is not masked

    tell(tmp_path, story, farmers=N)
