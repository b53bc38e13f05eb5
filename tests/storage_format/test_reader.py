"""The page docs/storage-format.md: its vectors are what we make, and a stranger's reader can live by it."""

import ast
import asyncio
import io
import json
import random
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from node.export import Label, Part, write_export
from node.renter_keys import RenterKeys
from payments.types import Timestamp
from settlement.copies import copy_database
from settlement.local_chain import DEV_PHRASE
from settlement.wallet import key_from_phrase
from tests.node.renter.support import build_village, content
from tests.storage_format import make_vectors, reader

VECTORS: dict[str, Any] = json.loads(make_vectors.FILE.read_text())
KEYS = reader.Keys.of(VECTORS["keys"]["phrase"])
ALLOWED = {"cryptography", "nacl"}
each_file = pytest.mark.parametrize("file", VECTORS["files"], ids=lambda file: file["name"])


def test_the_vectors_are_what_we_make() -> None:
    assert make_vectors.make() == VECTORS


def test_the_reader_imports_nothing_of_ours_and_no_code() -> None:
    tree = ast.parse(Path(reader.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or "."]
        )
    }
    assert imported - ALLOWED <= sys.stdlib_module_names
    assert not {"importlib", "runpy", "ctypes"} & imported
    assert "__import__" not in ast.dump(tree)


def test_keys_are_those_of_the_phrase() -> None:
    known = VECTORS["keys"]
    assert reader.account_secret(known["phrase"]).hex() == known["account secret"]
    assert KEYS.node.hex() == known["node key"]
    assert KEYS.of_master("mask key").hex() == known["mask key"]
    assert reader.derive(KEYS.node, "export", "tithe node key").hex() == known["export key"]


@pytest.mark.parametrize("code", VECTORS["code"], ids=lambda code: f"{code['k']} of {code['n']}")
def test_the_code_is_the_one_of_the_page(code: dict[str, Any]) -> None:
    k, shards = code["k"], bytes.fromhex(code["shards"])
    assert shards[:k].hex() == code["data"]
    given = dict.fromkeys(range(k))
    data = {index: shards[index : index + 1] for index in given}
    wanted = random.Random(k).sample(range(k, code["n"]), min(10, code["n"] - k))
    assert [reader.compute_shard(data, index)[0] for index in wanted] == [shards[index] for index in wanted]


@each_file
def test_a_file_of_the_vectors_is_read(file: dict[str, Any]) -> None:
    manifest = reader.open_manifest(KEYS, bytes.fromhex(file["sealed manifest"]))
    assert manifest == reader.decode_manifest(bytes.fromhex(file["manifest"]))
    (segment,) = manifest.segments
    key = reader.open_sealed(KEYS.of_master("segment key"), segment.id, segment.wrapped_key)
    assert key.hex() == file["segment key"]
    plain = make_vectors.bytes_of(file["name"], segment.length)
    assert sha256(plain).digest() == manifest.sha256
    for shard, known in zip(segment.shards, file["masked shards"], strict=True):
        if "hex" in known:
            masked = bytes.fromhex(known["hex"])
            assert len(masked) == segment.shard_length
            assert reader.data_root(masked) == shard.data_root
    if "hex" in file["ciphertext"]:
        ciphertext = bytes.fromhex(file["ciphertext"]["hex"])
        assert reader.decrypt_segment(KEYS, segment, ciphertext) == plain


def test_a_file_of_a_real_renter_is_read_with_n_minus_k_shards_missing(tmp_path: Path) -> None:
    sizes = {"empty": 0, "short": 700, "three segments": 300_001}
    k, n = 3, 7
    keys = RenterKeys.of(key_from_phrase(DEV_PHRASE))

    async def story() -> list[Path]:
        async with build_village(tmp_path, n) as place:
            await place.close_renter()
            place.keys = replace(place.keys, node=keys.node, signer=keys.signer, master=keys.master)
            await place.open_renter()
            await place.fund()
            for name, size in sizes.items():
                await place.store(name, content(size, name), k=k, n=n, segment_size=140_000)
            copy_database(tmp_path / "renter.db", tmp_path / "copy.db")
            label = Label("renter", keys.node.node, keys.account, Timestamp(place.clock.now))
            with (tmp_path / "export").open("wb") as out:
                part = Part("renter/somewhere/money.db", tmp_path / "copy.db")
                write_export(out, label, keys.node, [part])
            shelves = [one.place / "shards" / place.world.chain.deployment.folder for one in place.farmers]
            return random.Random(1).sample(shelves, k)

    folders = asyncio.run(story())
    for name, size in sizes.items():
        out = tmp_path / "out"
        command = [
            sys.executable,
            reader.__file__,
            str(tmp_path / "export"),
            name,
            str(out),
            *map(str, folders),
        ]
        subprocess.run(command, input=DEV_PHRASE.encode(), check=True)
        assert out.read_bytes() == content(size, name)


@each_file
def test_the_reader_takes_no_shard_that_is_another(file: dict[str, Any], tmp_path: Path) -> None:
    manifest = reader.open_manifest(KEYS, bytes.fromhex(file["sealed manifest"]))
    for shard in manifest.segments[0].shards:
        name = shard.agreement.hex()
        (tmp_path / name[-2:]).mkdir(exist_ok=True)
        (tmp_path / name[-2:] / f"{name}.shard").write_bytes(bytes(manifest.segments[0].shard_length))
    with pytest.raises(reader.Unreadable):
        reader.read_file(KEYS, manifest, [tmp_path], io.BytesIO())
