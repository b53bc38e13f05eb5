"""The chain and nothing else: client, deployments, wallet, watcher, transaction queue, claims, durable state.

eth-hash would choose pycryptodome even where safe-pysha3 is installed, at a fifth of its speed; the choice
must be made before anything imports eth_hash, hence here, and so must what `quick_start` does.
"""

import os

from settlement.quick_start import spare_the_pairing

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
spare_the_pairing()
