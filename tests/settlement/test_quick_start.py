import subprocess
import sys

import pytest

PROGRAMS = {
    "the pairing stays away until it is used": """
import settlement.client, sys
assert "py_ecc.optimized_bls12_381" not in sys.modules
assert "py_ecc.bls.ciphersuites" not in sys.modules
""",
    "who uses it gets the real one": """
import settlement.client
from eth_keyfile import keyfile
assert len(keyfile.bls.SkToPk(1)) == 48
""",
    "its modules are importable": """
import settlement.client
from py_ecc.bls.hash_to_curve import clear_cofactor_G2
import eth.vm.forks.cancun
""",
    "a real one that is there already stays": """
import py_ecc.bls, sys
import settlement
assert hasattr(sys.modules["py_ecc.bls"], "__file__")
""",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_starting_is_quick_and_changes_nothing(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)
