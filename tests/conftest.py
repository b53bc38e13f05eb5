"""What holds for every test: none is skipped, and a slow machine is no reason to fail."""

import pytest
from hypothesis import settings

settings.register_profile("tithebarn", deadline=None)
settings.load_profile("tithebarn")

_NOT_RUN = ("skipped", "xfailed", "xpassed")


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
