"""The benchmark of settlement still runs, and its figures can be read by programs."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_settlement.py"


def test_bench_measures_everything_and_writes_it_down(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    small = ["--quick", "--vouchers", "2000", "--channels", "500", "--renters", "2000"]
    ran = subprocess.run(
        [sys.executable, SCRIPT, *small, "--folder", tmp_path, "--json", figures],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    written = json.loads(figures.read_text())
    assert all(one["median"] > 0 for one in written["vouchers_per_second"])
    claim, restart = written["claim"], written["restart"]
    assert (claim["channels"], claim["transactions"]) == (5, 1)
    assert 0 < claim["heaviest_gas"] <= 16_777_216
    assert (restart["channels"], restart["entries"]) == (20, 200)
    assert restart["ready_seconds"] > 0
    assert list(tmp_path.iterdir()) == [figures]
