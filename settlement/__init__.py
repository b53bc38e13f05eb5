"""The chain and nothing else: client, deployments, wallet, watcher, transaction queue, claims, durable state.

eth-hash would choose pycryptodome even where safe-pysha3 is installed, at a fifth of its speed; the choice
must be made before anything imports eth_hash, hence here.
"""

import os

os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
