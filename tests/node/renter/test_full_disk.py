"""A renter whose disk is full signs nothing it has not written down, and goes on when there is room."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from payments.types import Seconds
from settlement.errors import StorageFull
from tests.node.renter.support import Village, content, outcomes, tell

Act = Callable[[Village], Awaitable[object]]


async def prepay(place: Village) -> None:
    """Pay ahead."""
    await place.renter.payments.prepay(Seconds(86_400))


ACTS: dict[str, tuple[str, Act]] = {
    "audit": ("node.renter.money.insert_audit", lambda place: place.renter.audits.audit()),
    "proof": ("node.renter.money.decide_items", lambda place: place.renter.audits.audit()),
    "read": ("node.renter.money.save_purse", lambda place: place.read("file")),
    "prepay": ("node.renter.money.save_purse", prepay),
    "agreement": ("node.renter.upload.insert_shards", lambda place: place.store("new", content(9))),
    "countersignature": (
        "node.renter.upload.countersign_shards",
        lambda place: place.store("new", content(9)),
    ),
}


async def shown_to_farmers(place: Village) -> list[int]:
    """The highest unconditional total that each farmer has seen."""
    return [sum(one.paid for one in (await each.farmer.status()).channels) for each in place.farmers]


@pytest.mark.parametrize(("where", "act"), ACTS.values(), ids=ACTS)
def test_nothing_leaves_that_is_not_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, act: Act
) -> None:
    def full(*_: object, **__: object) -> None:
        fault = sqlite3.OperationalError("database or disk is full")
        fault.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise fault

    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(50_000), k=1, n=2)
        await place.renter.audits.audit()
        before = await shown_to_farmers(place)
        with monkeypatch.context() as patch:
            patch.setattr(where, full)
            with pytest.raises(StorageFull, match="the disk is full"):
                await act(place)
        assert await shown_to_farmers(place) == before
        assert not (tmp_path / "file.back").exists()
        assert [file.name for file in place.renter.files.ls()] == ["file"]
        await place.restart_renter()
        assert outcomes(await place.renter.audits.audit()) == {"PASSED": 2}
        assert await place.read("file") == content(50_000)
        await place.store("new", content(9))
        for farmer in place.farmers:
            (channel,) = (await farmer.farmer.status()).channels
            assert channel.paid == place.earned(farmer.node)

    tell(tmp_path, story, farmers=2)
