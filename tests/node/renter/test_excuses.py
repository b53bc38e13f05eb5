"""What a farmer says when it refuses is no alibi: only what our own books show excuses it."""

from pathlib import Path

import pytest

from node.audit import Outcome
from node.renter.accounts import TRANSIENT
from node.renter.errors import FileUnavailable
from tests.node.renter.support import DEADLINE, Village, content, outcomes, tell


@pytest.mark.parametrize("code", sorted(TRANSIENT))
def test_whoever_refuses_all_audits_of_a_window_has_lost_the_shard(tmp_path: Path, code: str) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(10_000), k=1, n=1)
        (liar,) = place.farmers
        assert liar.wire
        liar.wire.refuse["POST /v1/audits"] = code
        for _ in range(3):
            (result,) = (await place.renter.audits.audit()).results
            assert (result.outcome, result.decided) == (Outcome.TIMED_OUT, False)
            place.clock.pass_time(DEADLINE // 3)
        assert outcomes(await place.renter.audits.audit()) == {"FAILED": 1}
        assert place.renter.files.stat("file").healthy == (0,)
        assert place.earned(liar.node) == 0

    tell(tmp_path, story, farmers=1, wired=True)


def test_whoever_says_that_its_disk_is_away_is_offline_and_earns_nothing(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(10_000), k=1, n=1)
        (farmer,) = place.farmers
        unplugged = farmer.place / "unplugged"
        (farmer.place / "shards").rename(unplugged)
        for _ in range(3):
            (result,) = (await place.renter.audits.audit()).results
            assert (result.outcome, result.decided) == (Outcome.OFFLINE, False)
            with pytest.raises(FileUnavailable):
                await place.read("file")
            place.clock.pass_time(DEADLINE // 3)
        assert outcomes(await place.renter.audits.audit()) == {"OFFLINE": 1}
        assert place.earned(farmer.node) == 0
        unplugged.rename(farmer.place / "shards")
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 1}
        assert await place.read("file") == content(10_000)

    tell(tmp_path, story, farmers=1)


@pytest.mark.parametrize("code", sorted(TRANSIENT | {"INTERNAL"}))
def test_whoever_refuses_a_paid_read_again_after_a_window_has_lost_the_shard(
    tmp_path: Path, code: str
) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(10_000), k=2, n=2)
        first = place.farmer(place.renter.files.stat("file").shards[0].farmer)
        assert first.wire
        first.wire.refuse["POST /v1/agreements"] = code
        found = []
        for pause in (DEADLINE // 2, DEADLINE, 0):
            with pytest.raises(FileUnavailable):
                await place.read("file")
            (shard,) = (s for s in place.renter.files.stat("file").shards if s.farmer == first.node)
            found.append(shard.outcome)
            place.clock.pass_time(pause)
        if code == "INTERNAL":  # with status 422: nothing that may pass
            assert found == [Outcome.FAILED] * 3
        else:
            assert found == [Outcome.TIMED_OUT, Outcome.TIMED_OUT, Outcome.FAILED]

    tell(tmp_path, story, farmers=2, wired=True)
