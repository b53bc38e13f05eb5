"""What every daemon does before it serves."""

import asyncio
import resource
from collections.abc import Iterator

import pytest

from node.cli.serving import until_stopped


@pytest.fixture
def few_files() -> Iterator[int]:
    """Let this process have few files open; how many the system would allow."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, 512), most))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))


def test_a_daemon_may_have_as_many_files_open_as_the_system_allows(few_files: int) -> None:
    async def begin() -> None:
        assert not until_stopped().is_set()

    asyncio.run(begin())
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few_files, few_files)
