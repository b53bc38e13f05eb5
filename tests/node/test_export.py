"""Exports: what was written comes back, and nothing else is believed; keys of a phrase; the key box."""

import io
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from node.errors import DamagedExport, NotThisNode, WrongPassphrase
from node.export import Label, Part, read_export, read_label, write_export
from node.identity import NodeKey
from node.key_box import open_keys, seal_keys
from node.master_key import LEAST_COST
from node.renter_keys import RenterKeys
from payments.types import Address, Timestamp
from settlement.wallet import key_from_phrase

KEY = NodeKey(bytes(range(32)))
LABEL = Label("renter", KEY.node, Address(b"\xaa" * 20), Timestamp(1_800_000_000))
PHRASE = "test test test test test test test test test test test junk"
SECRET = b"the name of a file that nobody may read"


def files(folder: Path) -> list[Part]:
    sizes = {"renter/one/money.db": 200_000, "chains/local.json": 64 * 1024, "config.json": 0, "a/b": 7}
    parts = []
    for name, size in sizes.items():
        source = folder / name.replace("/", "-")
        source.write_bytes((SECRET + random.Random(name).randbytes(size))[:size])
        parts.append(Part(name, source))
    return parts


def written(folder: Path, label: Label = LABEL) -> bytes:
    folder.mkdir(exist_ok=True)
    out = io.BytesIO()
    write_export(out, label, KEY, files(folder))
    return out.getvalue()


def unpack(export: bytes, folder: Path, key: NodeKey = KEY) -> Label:
    return read_export(io.BytesIO(export), Path("backup.tithe"), key, folder)


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    export = written(tmp_path / "in")
    assert unpack(export, tmp_path / "out") == LABEL
    for part in files(tmp_path / "in"):
        assert (tmp_path / "out" / part.name).read_bytes() == part.source.read_bytes()
        assert (tmp_path / "out" / part.name).stat().st_mode & 0o777 == 0o600


def test_label_can_be_read_without_a_key_and_the_rest_cannot(tmp_path: Path) -> None:
    export = written(tmp_path / "in")
    assert read_label(io.BytesIO(export), Path("x")) == LABEL
    assert SECRET not in export
    assert KEY.seed not in export
    assert b"money.db" not in export


@pytest.mark.parametrize("kept", [0, 4, 8, 11, 40, 200, 300, 70_000, 131_500, -1, -17, -18, -100])
def test_export_that_is_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    export = written(tmp_path / "in")
    with pytest.raises(DamagedExport, match=r"cut short|begin as one|changed"):
        unpack(export[:kept], tmp_path / "out")


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    export = written(tmp_path / "in")
    chance = random.Random(5)
    places = [*range(0, 320, 9), *(chance.randrange(320, len(export)) for _ in range(25)), len(export) - 1]
    for number, place in enumerate(places):
        broken = bytearray(export)
        broken[place] ^= 1 << chance.randrange(8)
        with pytest.raises((DamagedExport, NotThisNode)):
            unpack(bytes(broken), tmp_path / f"out{number}")


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedExport, match=r"changed|behind its end"):
        unpack(written(tmp_path / "in") + b"x", tmp_path / "out")


def test_keys_of_another_node_are_named(tmp_path: Path) -> None:
    other = NodeKey(os.urandom(32))
    with pytest.raises(NotThisNode) as refused:
        unpack(written(tmp_path / "in"), tmp_path / "out", other)
    assert refused.value.given == other.node


def test_export_of_a_later_version_is_told(tmp_path: Path) -> None:
    export = written(tmp_path / "in").replace(b'"version": 1', b'"version": 2')
    with pytest.raises(DamagedExport, match="version 2"):
        unpack(export, tmp_path / "out")


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", ".hidden/file", "a/../../b"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    out = io.BytesIO()
    write_export(out, LABEL, KEY, [Part(name, tmp_path / "file")])
    with pytest.raises(DamagedExport, match="leads elsewhere"):
        unpack(out.getvalue(), tmp_path / "out")


def test_key_box_opens_by_its_passphrase_only() -> None:
    box = seal_keys({"renter/node.key": b"seed"}, "right", LEAST_COST)
    assert b"seed" not in box
    assert open_keys(box, "right") == {"renter/node.key": b"seed"}
    with pytest.raises(WrongPassphrase):
        open_keys(box, "wrong")


def test_keys_travel_in_the_label_sealed(tmp_path: Path) -> None:
    box = seal_keys({"renter/node.key": KEY.seed}, "right", LEAST_COST)
    export = written(tmp_path / "in", replace(LABEL, keys=box))
    assert KEY.seed not in export
    assert KEY.seed.hex().encode() not in export
    assert unpack(export, tmp_path / "out").keys == box


def test_one_phrase_gives_the_same_keys_again_and_another_path_others() -> None:
    first, again = (RenterKeys.of(key_from_phrase(PHRASE)) for _ in range(2))
    other = RenterKeys.of(key_from_phrase(PHRASE, "m/44'/60'/0'/0/1"))
    assert (first.node.node, first.signer.address, first.master.mask_key) == (
        again.node.node,
        again.signer.address,
        again.master.mask_key,
    )
    assert len({first.account, first.signer.address, other.signer.address}) == 3
    assert first.node.node != other.node.node
    secrets = {first.node.seed, first.signer.secret, key_from_phrase(PHRASE).secret}
    assert len(secrets) == 3
    assert not any(secret.hex() in repr(first) for secret in secrets)
