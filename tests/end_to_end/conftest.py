"""Runs `tithe demo` as a user would: the installed command, its own process, its last line read as JSON."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TITHE = Path(sys.executable).with_name("tithe")
Story = dict[str, Any]


@pytest.fixture
def tell(tmp_path: Path) -> Callable[..., Story]:
    """Run the demo with these arguments; return its JSON line after checking its exit code."""

    def run(*args: str, expect: int = 0, timeout: int = 240) -> Story:
        done = subprocess.run(
            [TITHE, "demo", "--json", *args],
            cwd=tmp_path,
            env={"PATH": f"{TITHE.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        story: Story = json.loads(done.stdout.splitlines()[-1])
        return story

    return run
