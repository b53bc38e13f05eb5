"""What holds for every test: none is skipped, and a slow machine is no reason to fail."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import settings

from node.transport import Patience
from tests.databases import Kind, Place, place_of
from tests.postgresql import Server, running

settings.register_profile("tithebarn", deadline=None)
settings.load_profile("tithebarn")

_NOT_RUN = ("skipped", "xfailed", "xpassed")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The tests' PostgreSQL, started when the first of them wants it."""
    with running() as server:
        yield server


@pytest.fixture(params=list(Kind))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each kind of database in turn."""
    with closing(place_of(request)) as found:
        yield found


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to ask others, or again: what is paid for is known to the unit."""
    monkeypatch.setattr("node.renter.download.QUIET_SECONDS", 60.0)
    monkeypatch.setattr("node.renter.pace.LEAST", 60.0)
    monkeypatch.setattr("tests.node.renter.support.QUICK", Patience(connect=15, stall=15, pause=0.1))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped or excused: a test that does not run proves nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    left_out = [report.nodeid for kind in _NOT_RUN for report in reporter.stats.get(kind, [])]
    if left_out:
        reporter.ensure_newline()
        reporter.section("skipped or excused, which counts as failed")
        for nodeid in left_out:
            reporter.line(nodeid)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
