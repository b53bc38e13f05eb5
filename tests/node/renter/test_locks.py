"""Locks hold between tasks and between processes, and die with whoever held them."""

import asyncio
import subprocess
import sys
from pathlib import Path

from node.renter.locks import Locks

NAME, OTHER = b"channel one 00", b"channel two 00"
HOLDER = """
import asyncio, sys
from pathlib import Path
from node.renter.locks import Locks

async def main():
    async with Locks(Path(sys.argv[1])).hold(bytes.fromhex(sys.argv[2])):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_one_task_at_a_time(tmp_path: Path) -> None:
    async def story(locks: Locks) -> None:
        inside, most = 0, 0

        async def use() -> None:
            nonlocal inside, most
            async with locks.hold(NAME):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        await asyncio.gather(*(use() for _ in range(5)))
        assert most == 1
        async with locks.hold(NAME), locks.hold(OTHER), locks.try_hold(NAME) as held:
            assert not held
        async with locks.try_hold(NAME) as held:
            assert held

    asyncio.run(story(Locks(None)))
    asyncio.run(story(Locks(tmp_path / "locks")))


def test_another_process_waits_until_the_holder_is_killed(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), NAME.hex()], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "held\n"

        async def story() -> None:
            locks = Locks(tmp_path)
            async with locks.try_hold(NAME) as held:
                assert not held
            waiting = asyncio.create_task(_take(locks))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            child.kill()
            async with asyncio.timeout(10):
                await waiting

        asyncio.run(story())
        child.wait()


async def _take(locks: Locks) -> None:
    async with locks.hold(NAME):
        return
