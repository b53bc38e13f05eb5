"""Keys stay where they are: a payer's in its signer, and none in a log, an error or a representation."""

import logging
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from node.renter.errors import UnknownFile
from settlement.external_signer import ExternalSigner
from tests.node.renter.support import Village, content, outcomes, tell
from tests.settlement.signer import clef


def test_payer_whose_key_is_elsewhere_funds_and_closes(tmp_path: Path) -> None:
    async def story(place: Village) -> None:
        payer = place.keys.payer_key
        assert payer is not None
        with clef(payer) as signer:
            place.keys = replace(place.keys, payer_key=ExternalSigner(signer.url, payer.address))
            await place.restart_renter()
            await place.fund()
            await place.store("file", content(20_000), k=1)
            assert outcomes(await place.renter.audits.audit()) == {"PASSED": 2}
            exits = place.renter.exits
            names = [info.channel.id for info in place.renter.channels.list()]
            await exits.send(await exits.plan_close(names))
            methods = [request["method"] for request in signer.seen]
            assert set(methods) == {"account_signTransaction"}
            assert len(methods) == 2  # fund and close: vouchers are the hot key's
        assert all(info.channel.closes_at for info in place.renter.channels.list())

    tell(tmp_path, story, farmers=2)


def test_no_key_is_in_a_log_an_error_or_a_representation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def story(place: Village) -> None:
        keys = place.keys
        assert keys.payer_key is not None
        secrets = [keys.node.seed, keys.signer.secret, keys.payer_key.secret, keys.master._secret]
        secrets += [keys.master.mask_key, keys.node.derive("shelf"), keys.node.derive("export")]
        await place.fund()
        await place.store("file", content(20_000), k=1)
        await place.renter.audits.audit()
        await place.farmers[0].stop()
        await place.renter.audits.audit()
        try:
            await place.renter.files.get("nothing", tmp_path / "out")
        except UnknownFile:
            told.append(traceback.format_exc())
        told.extend(map(repr, (keys, keys.master, keys.signer, place.renter, place.farmers[0].key)))
        everything = "\n".join([caplog.text, *told])
        assert "farmer_started" in everything
        assert "UnknownFile" in everything
        for secret in secrets:
            assert secret.hex() not in everything
            assert repr(secret)[2:-1] not in everything
            assert str(int.from_bytes(secret)) not in everything

    tell(tmp_path, story, farmers=2)
