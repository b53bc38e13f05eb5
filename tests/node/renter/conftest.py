"""What several tests of the renter need."""

import pytest

from node.renter import download, pace


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine is no reason to ask other farmers: what is paid for is known to the unit."""
    monkeypatch.setattr(download, "QUIET_SECONDS", 60.0)
    monkeypatch.setattr(pace, "LEAST", 60.0)
