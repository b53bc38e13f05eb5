"""What comes from peers or in others' files is read or refused, whatever it is, and costs little."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import CorruptEntry
from node.merkle import Tree, verify_path
from node.shard_store import ShardStore
from node.shelf import open_entry, seal_entry
from tests.node import decoders
from tests.node.support import cut, make_shard

each_other = pytest.mark.parametrize("decoder", decoders.OTHERS, ids=lambda decoder: decoder.name)
SHARD, NAME = make_shard(9_000), b"n" * 32


@st.composite
def damaged(draw: st.DrawFn, sample: bytes) -> bytes:
    """A sample with bytes changed, left out or put in, at one to three places."""
    data = bytearray(sample)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    return bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_bodies_made_to_hurt_cost_little_and_are_refused() -> None:
    command = [sys.executable, "-m", decoders.__name__]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, check=False, text=True
    )
    assert ended.returncode == 0, ended.stderr[-500:]


@each_other
@given(data=st.binary(max_size=300))
@settings(max_examples=40)
def test_any_bytes_are_read_or_refused(decoder: decoders.Decoder, data: bytes) -> None:
    decoder.is_read(data)


@each_other
@given(data=st.data())
@settings(max_examples=60)
def test_damaged_samples_are_read_or_refused(decoder: decoders.Decoder, data: st.DataObject) -> None:
    decoder.is_read(data.draw(damaged(decoder.sample)))


def test_samples_are_read() -> None:
    read = {decoder.name for decoder in decoders.OTHERS if decoder.is_read(decoder.sample)}
    assert {decoder.name for decoder in decoders.OTHERS} - read == {"master key"}  # costs time to unlock


@given(st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16), st.text(max_size=9))
@settings(max_examples=20)
def test_a_shelf_entry_opens_under_its_name_and_version_only(version: int, entry: bytes, name: str) -> None:
    sealed = seal_entry(decoders.KEY, entry, version, {"name": name})
    assert open_entry(decoders.KEY, entry, version, sealed) == {"name": name}
    for other_entry, other_version in ((entry[::-1] + b"x", version), (entry, version ^ 1)):
        with pytest.raises(CorruptEntry):
            open_entry(decoders.KEY, other_entry, other_version, sealed)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ShardStore:
    kept = ShardStore(tmp_path_factory.mktemp("store"))
    kept.prepare()
    incoming = kept.receive()
    incoming.write(SHARD)
    incoming.keep(NAME, incoming.finish())
    return kept


@given(data=st.data())
@settings(max_examples=60)
def test_whatever_a_cached_tree_holds_its_proofs_are_right(store: ShardStore, data: st.DataObject) -> None:
    tree: Tree = store.rebuild(NAME)
    junk = data.draw(st.binary(max_size=300) | damaged(tree.to_bytes()))
    store.path(NAME).with_suffix(".tree").write_bytes(junk)
    index = data.draw(st.integers(0, tree.leaf_count - 1))
    leaves, paths = store.prove(NAME, (index,), len(SHARD), tree.root)
    assert leaves == (cut(SHARD)[index],)
    assert verify_path(leaves[0], index, tree.leaf_count, paths[0], tree.root)
