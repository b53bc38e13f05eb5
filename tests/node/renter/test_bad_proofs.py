"""Answers to a challenge that are no proof at all: FAILED with the reason, never an exception."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.audit import Outcome
from tests.node.renter.support import Village, content, tell


def lengthen(item: dict[str, Any]) -> None:
    item["leaves"][0] = "0x" + "00" * 1025


def empty(item: dict[str, Any]) -> None:
    item["leaves"][0] = "0x"


def add_path(item: dict[str, Any]) -> None:
    item["paths"] += [["0x" + "00" * 32]] * 4


def spoil(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """Change each item of a proof."""

    def work(body: bytes) -> bytes:
        said = json.loads(body)
        for item in said["proof"]["items"]:
            change(item)
        return json.dumps(said).encode()

    return work


@pytest.mark.parametrize(
    "change",
    [spoil(lengthen), spoil(empty), spoil(add_path), lambda _: b"no JSON", lambda _: b"", lambda _: b"{}"],
    ids=["long leaf", "empty leaf", "extra path", "no JSON", "nothing", "no status"],
)
def test_an_answer_that_is_no_proof_fails_at_once(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    async def story(place: Village) -> None:
        await place.fund()
        await place.store("file", content(20_000), k=1, n=1)
        (liar,) = place.farmers
        assert liar.wire
        liar.wire.tamper = lambda path, body: change(body) if path == "/v1/audits" else body
        (result,) = (await place.renter.audits.audit()).results
        assert (result.outcome, result.decided) == (Outcome.FAILED, True)
        assert result.reason
        assert place.earned(liar.node) == 0
        assert place.renter.files.stat("file").healthy == (0,)

    tell(tmp_path, story, farmers=1, wired=True)
