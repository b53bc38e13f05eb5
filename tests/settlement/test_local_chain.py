"""Local chains: controlled alike, never left behind, found again when detached."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from settlement.errors import LocalChainFailed, NodeRefused, ToolMissing
from settlement.local_chain import (
    STATES,
    ChainKind,
    LocalChain,
    dev_keys,
    embedded,
    give,
    mine,
    warp,
)
from settlement.rpc import Rpc
from settlement.transactions import send_now
from tests.settlement.conftest import Endpoint
from tests.settlement.support import payee, run

START = """
import os, sys, time
from pathlib import Path
from settlement.local_chain import ChainKind, LocalChain
chain = LocalChain.start(ChainKind(sys.argv[1]), detached=sys.argv[2] == "detached")
if sys.argv[2] == "detached":
    chain.save(Path(sys.argv[3]))
print(chain.pid, flush=True)
time.sleep(60 if sys.argv[2] == "attached" else 0)
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


def test_anvil_forgets_old_states_instead_of_filling_the_disk() -> None:
    async def story() -> None:
        with LocalChain.start(ChainKind.ANVIL, block_time=0) as chain:
            async with await Rpc.open(chain.url) as rpc:
                await rpc.request("anvil_mine", STATES + 10)
                assert await rpc.balance(dev_keys(1)[0].address)
                assert await rpc.block(1) is not None
                with pytest.raises(NodeRefused, match="BlockOutOfRange"):
                    await rpc.code(dev_keys(1)[0].address, 1)

    run(story())


def test_clock_blocks_and_gas_money_are_controlled_alike(endpoint: Endpoint) -> None:
    async def story() -> None:
        async with await Rpc.open(endpoint()) as rpc:
            before = await rpc.block()
            assert before is not None
            await warp(rpc, 5_000)
            after = await rpc.block()
            assert after is not None
            assert 5_000 <= after.timestamp - before.timestamp < 5_100
            await mine(rpc, 3)
            mined = await rpc.block()
            assert mined is not None
            assert mined.number >= after.number + 3
            assert mined.timestamp - after.timestamp < 100
            poor = payee(int(time.time() * 1000) % 10**6)
            for total in (3 * 10**18, 6 * 10**18):
                await give(rpc, poor, 3 * 10**18)
                assert await rpc.balance(poor) == total
            rich = dev_keys()
            assert min([await rpc.balance(key.address) for key in rich[:3]]) > 9_000 * 10**18
            receipt = await send_now(rpc, rich[1], poor, value=5)
            block = await rpc.block(receipt.block_number)
            assert block is not None
            assert block.timestamp >= after.timestamp

    run(story())


def test_embedded_chains_follow_the_clock_and_are_never_the_same() -> None:
    async def story() -> None:
        first, second = await Rpc.open(embedded()), await Rpc.open(embedded())
        blocks = [await rpc.block(0) for rpc in (first, second)]
        assert blocks[0] is not None
        assert blocks[1] is not None
        assert blocks[0].hash != blocks[1].hash
        await mine(first)
        await asyncio.sleep(2.1)
        await mine(first)
        head = await first.block()
        assert head is not None
        assert abs(head.timestamp - time.time()) < 2

    run(story())


@pytest.mark.parametrize("kind", [ChainKind.ANVIL, ChainKind.GANACHE])
def test_a_chain_dies_with_its_parent_even_by_kill_9(kind: ChainKind) -> None:
    command = [sys.executable, "-c", START, kind, "attached"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert running(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert gone(pid)


def test_a_detached_chain_outlives_its_starter_and_is_stopped_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    command = [sys.executable, "-c", START, "anvil", "detached", str(file)]
    pid = int(subprocess.run(command, capture_output=True, check=True).stdout)
    chain = LocalChain.load(file)
    assert chain is not None
    assert (chain.pid, chain.alive, running(pid)) == (pid, True, True)

    async def story() -> None:
        async with await Rpc.open(chain.url) as rpc:
            assert "anvil" in await rpc.client()

    run(story())
    chain.stop()
    assert gone(pid)
    chain.stop()
    assert LocalChain.load(file) is None


def test_a_stale_file_never_leads_to_a_stranger(tmp_path: Path) -> None:
    file = tmp_path / "chain.json"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        stale = LocalChain(ChainKind.ANVIL, "http://127.0.0.1:1", sleeper.pid, "1")
        stale.save(file)
        assert LocalChain.load(file) is None
        stale.stop()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
    for content in ("", "{}", "[]", '{"kind": "moon", "url": "", "pid": 1, "started": ""}'):
        file.write_text(content)
        assert LocalChain.load(file) is None
    assert LocalChain.load(tmp_path / "nowhere") is None


def test_stopping_ends_the_process_and_frees_the_port(anvil: LocalChain) -> None:
    port = int(anvil.url.rpartition(":")[2])
    with pytest.raises(LocalChainFailed, match="taken"):
        LocalChain.start(ChainKind.ANVIL, port=port)
    with pytest.raises(LocalChainFailed, match="taken"):
        LocalChain.start(ChainKind.GANACHE, port=port)
    with LocalChain.start(ChainKind.ANVIL) as other:
        assert other.url != anvil.url
        free = int(other.url.rpartition(":")[2])
    assert gone(other.pid)
    with LocalChain.start(ChainKind.ANVIL, port=free) as again:
        assert again.url == other.url


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("settlement.tools.CHECKOUT", tmp_path)
    with pytest.raises(ToolMissing, match="anvil not found"):
        LocalChain.start(ChainKind.ANVIL)
    with pytest.raises(ToolMissing, match="ganache not found"):
        LocalChain.start(ChainKind.GANACHE)
    with pytest.raises(LocalChainFailed, match="inside a program"):
        LocalChain.start(ChainKind.EMBEDDED)


def test_tools_are_found_in_the_named_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "anvil"
    fake.write_text("#!/bin/sh\necho it breaks at once >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("TITHE_TOOLS", str(tmp_path))
    monkeypatch.setattr("settlement.tools.CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(LocalChainFailed, match="it breaks at once"):
        LocalChain.start(ChainKind.ANVIL)
