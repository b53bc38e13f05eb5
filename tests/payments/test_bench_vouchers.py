"""The benchmark still runs, and its figures can be read by programs."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_vouchers.py"


def test_bench_measures_everything_and_writes_it_down(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    short = ["--runs", "1", "--seconds", "0.02", "--channels", "10", "--vouchers", "20"]
    ran = subprocess.run(
        [sys.executable, SCRIPT, *short, "--folder", tmp_path, "--json", figures],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    written = json.loads(figures.read_text())["vouchers_per_second"]
    names = {one["name"] for one in written}
    assert {"sign, ours", "verify, ours", "verify, eth-account", "accepted durably"} <= names
    assert all(one["median"] > 0 for one in written)
    assert all(name in ran.stdout for name in names)
    assert list(tmp_path.iterdir()) == [figures]
