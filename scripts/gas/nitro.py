"""Nitro 0.17.3 (statechannels.org): an adjudicator for channels of any outcome.

Measured: paying in, and the agreed end that pays both sides at once. Its payments over a funded channel
need no transaction, but only the end pays out, so there are no later claims. (A batch operator that opens
many channels at once came later and is in no package of npm.)
"""

from collections.abc import Sequence

from eth_abi.abi import encode

from payments.eip712 import keccak
from payments.vouchers import SigningKey
from scripts.gas.bench import TOKEN, call
from scripts.gas.meter import ALONE, Figure, Ground, Meter, personal, sign65
from scripts.gas.packages import Package, deploy
from settlement.calls import Call

PACKAGE = Package(
    "npm",
    "@statechannels/nitro-protocol",
    "0.17.3",
    "statechannels-nitro-protocol-0.17.3.tgz",
    "da59b95561156b9ea6e8ec861a329d136b472e1a1443f3506a105c8f72bb7a93",
)
COMPILED = "package/lib/artifacts/contracts/NitroAdjudicator.sol/NitroAdjudicator.json"
CONCLUDE = (
    "concludeAndTransferAllAssets(uint48,(uint256,address[],uint48,address,uint48),bytes32,bytes,uint8,uint8[],"
    "(uint8,bytes32,bytes32)[])"
)
CHALLENGE_SECONDS = 86_400
TURN = 10
ALLOCATION = 0


def channel_id(chain_id: int, sides: list[bytes]) -> bytes:
    """The id of the first channel between two sides."""
    return keccak(encode(["uint256", "address[]", "uint256"], [chain_id, sides, 0]))


def conclude(ground: Ground, contract: bytes, payee: SigningKey) -> Call:
    """End a channel by a state both sides signed: a tenth of a token is the payee's, the rest is not."""
    sides: list[bytes] = [ground.payer.address, payee.address]
    channel = channel_id(ground.bench.chain_id, sides)
    due = TOKEN // 10
    items = [(bytes(12) + payee.address, due), (bytes(12) + ground.payer.address, 2 * TOKEN - due)]
    allocation = encode(["(bytes32,uint256)[]"], [items])
    outcome = encode(
        ["(address,bytes)[]"],
        [[(ground.token, encode(["(uint8,bytes)"], [(ALLOCATION, allocation)]))]],
    )
    part = keccak(encode(["uint256", "address", "bytes"], [CHALLENGE_SECONDS, bytes(20), b""]))
    state = (TURN, True, channel, part, keccak(outcome))
    digest = personal(keccak(encode(["(uint48,bool,bytes32,bytes32,bytes32)"], [state])))
    signed = [sign65(side, digest) for side in (ground.payer, payee)]
    signatures = [(raw[64], raw[:32], raw[32:64]) for raw in signed]
    fixed = (ground.bench.chain_id, sides, 0, bytes(20), CHALLENGE_SECONDS)
    return call(contract, CONCLUDE, TURN, fixed, part, outcome, 1, [0, 0], signatures)  # type: ignore[arg-type]


async def measure(ground: Ground, _: Sequence[int]) -> list[Figure]:
    """Measure deposits and agreed ends."""
    bench, payer, token = ground.bench, ground.payer, ground.token
    contract = await deploy(bench, PACKAGE.read(COMPILED)["bytecode"])
    await bench.approve(token, contract, [payer])
    meter = Meter("nitro", bench)

    def paid_in(payee: SigningKey, held: int) -> tuple[SigningKey, Call]:
        channel = channel_id(bench.chain_id, [payer.address, payee.address])
        return payer, call(contract, "deposit(address,bytes32,uint256,uint256)", token, channel, held, TOKEN)

    first, *payees = ground.payees[: ALONE + 1]
    await bench.send(*paid_in(first, 0))
    await meter.alone("open", [paid_in(payee, 0) for payee in payees])
    await meter.alone("top_up", [paid_in(payee, TOKEN) for payee in payees])
    ends = [(payee, conclude(ground, contract, payee)) for payee in payees]
    await meter.alone("claim", ends, "ends the channel, both sides sign")
    return meter.figures
