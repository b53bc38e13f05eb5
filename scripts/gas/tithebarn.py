"""Ours: every operation of PaymentChannels at several sizes, each by the function made for it.

One payer has channels to many farmers; for the sweep, many payers have one each to the same farmer. Farmers
and relayer hold the token already, allowances are infinite, every claim is a later one (something was
claimed before).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import shake_256
from itertools import count
from typing import Final

from node.audit import Challenge, Item, challenge_digest
from node.merkle import LEAF_SIZE, Tree, build_tree
from payments.eip712 import address_word, keccak, type_hash, typed_digest, word
from payments.types import ZERO32, Address, Amount, Seconds
from payments.vouchers import SigningKey, Terms, Voucher, channel_id, channel_salt, sign_voucher
from scripts.gas.bench import TOKEN, Row, people
from scripts.gas.meter import Figure, Ground, Meter
from settlement.abi import CHANNELS, encode_call, encode_constructor
from settlement.calls import Call, Claim
from settlement.chain_events import key as pack_key
from settlement.chain_events import row as pack_row
from settlement.client import Chain
from settlement.deployment import Deployment
from settlement.local_chain import warp
from settlement.rpc import Receipt

SYSTEM: Final = "tithebarn"
PERIOD: Final = Seconds(86_400)
STEP: Final = Amount(TOKEN // 10)
"""What each claim or push adds."""
FEE: Final = TOKEN // 1_000
MAXIMUM_FEE: Final = TOKEN // 100
DEADLINE: Final = 2**33
SHARD_BYTES: Final = 2_310_144
"""One shard of a full segment at 29 of 80."""
RELAY_FEE_TYPE: Final = (
    "RelayFee(address relayer,bytes32 channelId,uint96 cumulativeAmount,uint96 maximum,uint64 deadline)"
)


@dataclass
class Tithebarn:
    """The deployed contract and those who use it."""

    ground: Ground
    chain: Chain
    meter: Meter
    signer: SigningKey
    relayer: SigningKey
    shard: bytes
    tree: Tree
    receipts: dict[tuple[str, int], list[Receipt]]
    """Of each operation and size: for whoever wants to take them apart."""

    def terms(self, payer: SigningKey, payee: SigningKey, salt: bytes) -> Terms:
        """A channel; the payers of the sweep sign their own vouchers."""
        signer = self.signer if payer is self.ground.payer else payer
        return Terms(payer.address, signer.address, payee.address, self.ground.token, PERIOD, salt)

    def claim(self, payer: SigningKey, terms: Terms, total: int, condition: bytes = ZERO32) -> Claim:
        """A voucher and its channel."""
        signer = self.signer if payer is self.ground.payer else payer
        voucher = Voucher(channel_id(self.chain.domain, terms), Amount(total), condition)
        return Claim(terms, sign_voucher(self.chain.domain, voucher, signer))

    def fee(self, claim: Claim, payee: SigningKey) -> tuple[bytes, bytes, bytes]:
        """What the payee lets the relayer keep: (terms, r, vs)."""
        fields = (
            address_word(self.relayer.address) + claim.voucher.voucher.channel_id + word(claim.voucher.total)
        )
        digest = typed_digest(
            self.chain.domain,
            keccak(type_hash(RELAY_FEE_TYPE) + fields + word(MAXIMUM_FEE) + word(DEADLINE)),
        )
        signature = payee.sign(digest)
        terms = FEE.to_bytes(12) + MAXIMUM_FEE.to_bytes(12) + DEADLINE.to_bytes(8)
        return terms, signature[:32], signature[32:]

    def proof(self, index: int) -> tuple[bytes, bytes]:
        """One leaf of the shard in an audit of its own: the condition, and the proof for the contract."""
        agreement, audit = keccak(b"agreement" + word(index)), keccak(b"audit" + word(index))
        leaves = self.tree.leaf_count
        condition = challenge_digest(
            self.chain.domain, Challenge(audit, (Item(agreement, self.tree.root, leaves, (index,)),))
        )
        head = audit + agreement + leaves.to_bytes(8) + b"\x01" + index.to_bytes(8)
        leaf = self.shard[index * LEAF_SIZE : (index + 1) * LEAF_SIZE]
        return condition, head + leaf + b"".join(self.tree.path(index))

    async def measure(self, operation: str, n: int, sender: SigningKey, calls: Sequence[Call]) -> None:
        """Send and note one operation at one size."""
        self.receipts[operation, n] = await self.meter.batch(operation, n, sender, calls)

    async def measure_rows(
        self, operation: str, rows: Sequence[Row], make: Callable[[Sequence[Row]], Call], sender: SigningKey
    ) -> None:
        """As `measure`, with the rows split over as few transactions as will do."""
        calls = await self.ground.bench.split(rows, make, sender)
        await self.measure(operation, len(rows), sender, calls)


async def open_ground(ground: Ground) -> Tithebarn:
    """Deploy the contract; it holds the token from a first channel on."""
    bench, payer = ground.bench, ground.payer
    contract = await bench.create(encode_constructor(CHANNELS))
    deployment = Deployment(
        name="bench",
        url=bench.rpc.url,
        chain_id=bench.chain_id,
        genesis_hash=bytes(32),
        contract=contract,
        token=ground.token,
        deployed_block=0,
        challenge_period=PERIOD,
        confirmations=1,
        local=True,
    )
    chain = Chain(bench.rpc, deployment)
    signer, relayer = people("signer", 1)[0], people("relayer", 1)[0]
    await bench.enrich([relayer])
    await bench.spread(ground.token, [relayer.address])
    await bench.approve(ground.token, contract, [payer])
    await bench.send(
        payer, chain.calls.fund(signer.address, PERIOD, salt_of(0), [(relayer.address, Amount(TOKEN))])
    )
    shard = shake_256(b"shard").digest(SHARD_BYTES)
    meter = Meter(SYSTEM, bench)
    return Tithebarn(ground, chain, meter, signer, relayer, shard, build_tree(shard), {})


def salt_of(life: int) -> bytes:
    """The salt of a life; every size has one of its own."""
    return channel_salt(bytes(32), life)


async def measure(ground: Ground, counts: Sequence[int]) -> list[Figure]:
    """Measure everything at every size."""
    return (await run(ground, counts)).meter.figures


async def run(ground: Ground, counts: Sequence[int]) -> Tithebarn:
    """As `measure`, with the receipts."""
    ours = await open_ground(ground)
    for life, n in enumerate(counts, start=1):
        payees = ground.payees[:n]
        await _fund(ours, payees, salt_of(life))
        await _pay(ours, payees, salt_of(life))
        await _leave(ours, payees, salt_of(life))
    await _sweep(ours, counts)
    return ours


async def _fund(ours: Tithebarn, payees: Sequence[SigningKey], salt: bytes) -> None:
    payer = ours.ground.payer
    for operation, target in (("open", TOKEN), ("top_up", 2 * TOKEN)):
        rows = [(payee.address, Amount(target)) for payee in payees]
        make = partial(fund_call, ours, salt)
        await ours.measure_rows(operation, rows, make, payer)


async def _pay(ours: Tithebarn, payees: Sequence[SigningKey], salt: bytes) -> None:
    """Every way to be paid, one after another; the push comes first, so that every claim is a later one."""
    payer, chain, n = ours.ground.payer, ours.chain, len(payees)
    totals = count(STEP, STEP)
    pushed = next(totals)
    rows = [(payee.address, Amount(pushed)) for payee in payees]
    await ours.measure_rows("push", rows, partial(chain.calls.push, ours.signer.address, PERIOD, salt), payer)

    def claims(total: int, conditions: Sequence[bytes] | None = None) -> list[Claim]:
        given = conditions or [ZERO32] * n
        channels = [ours.terms(payer, payee, salt) for payee in payees]
        return [ours.claim(payer, terms, total, one) for terms, one in zip(channels, given, strict=True)]

    relayed = claims(next(totals))
    await ours.measure_rows("relay", relayed, partial(relay_call, ours), ours.relayer)
    charged = claims(next(totals))
    fees = [ours.fee(claim, payee) for claim, payee in zip(charged, payees, strict=True)]
    with_fees = list(zip(charged, fees, strict=True))
    await ours.measure_rows("relay_with_fee", with_fees, partial(relay_with_fees, ours), ours.relayer)

    alone = list(zip(payees, claims(next(totals)), strict=True))
    sent = await ours.ground.bench.send_many([(payee, claim_alone(ours, claim)) for payee, claim in alone])
    ours.receipts["claim", n] = sent
    ours.meter.note("claim", n, sent)

    proofs = [ours.proof(index) for index in range(n)]
    proven = claims(next(totals), [condition for condition, _ in proofs])
    with_proofs = [(claim, proof) for claim, (_, proof) in zip(proven, proofs, strict=True)]
    sender = payees[0] if n == 1 else ours.relayer
    await ours.measure_rows("claim_with_proof", with_proofs, partial(claim_with_proofs, ours), sender)


async def _leave(ours: Tithebarn, payees: Sequence[SigningKey], salt: bytes) -> None:
    payer, chain = ours.ground.payer, ours.chain
    addresses = [payee.address for payee in payees]
    for operation, make in (("request_close", chain.calls.request_close), ("withdraw", chain.calls.withdraw)):
        await ours.measure_rows(operation, addresses, partial(make, ours.signer.address, PERIOD, salt), payer)
        await warp(ours.ground.bench.rpc, PERIOD + 1)


async def _sweep(ours: Tithebarn, counts: Sequence[int]) -> None:
    """One farmer claims from many payers, each of whom has funded and signed for itself."""
    bench, chain, farmer = ours.ground.bench, ours.chain, ours.ground.payees[-1]
    payers, salt = ours.ground.payers[: counts[-1]], salt_of(0)
    await bench.approve(ours.ground.token, chain.deployment.contract, payers)
    target = (farmer.address, Amount(TOKEN))
    await bench.send_many(
        [(payer, chain.calls.fund(payer.address, PERIOD, salt, [target])) for payer in payers]
    )

    def claims(n: int, total: int) -> list[Claim]:
        return [ours.claim(payer, ours.terms(payer, farmer, salt), total) for payer in payers[:n]]

    make = partial(claim_together, ours)
    for one in await bench.split(claims(len(payers), STEP), make, farmer):
        await bench.send(farmer, one)
    for place, n in enumerate(counts, start=2):
        await ours.measure_rows("sweep", claims(n, place * STEP), make, farmer)


# Calls that the client does not make: relays, proofs, and claims by the payee, who need not be named


def words_of(claims: Sequence[Claim], *, by_payee: bool = False) -> list[tuple[object, ...]]:
    """Rows of claims; `by_payee`: all are the caller's, who need not be named."""
    rows: list[tuple[object, ...]] = []
    for claim in claims:
        terms, signature = claim.terms, claim.voucher.signature
        payee = Address(bytes(20)) if by_payee else terms.payee
        key, row = pack_key(terms.signer, terms.challenge_period), pack_row(payee, claim.voucher.total)
        rows.append((terms.payer, key, row, terms.salt, signature[:32], signature[32:]))
    return rows


def fund_call(ours: Tithebarn, salt: bytes, rows: Sequence[tuple[Address, Amount]]) -> Call:
    """Fund channels of the rich payer; a single one by its own function."""
    if len(rows) > 1:
        return ours.chain.calls.fund(ours.signer.address, PERIOD, salt, rows)
    key, row = pack_key(ours.signer.address, PERIOD), pack_row(*rows[0])
    return Call(
        ours.chain.deployment.contract, encode_call(CHANNELS, "fundOne", ours.ground.token, key, salt, row)
    )


def claim_alone(ours: Tithebarn, claim: Claim) -> Call:
    """A farmer's own claim."""
    (row,) = words_of([claim], by_payee=True)
    return Call(ours.chain.deployment.contract, encode_call(CHANNELS, "claimOne", ours.ground.token, row))


def claim_together(ours: Tithebarn, claims: Sequence[Claim]) -> Call:
    """A farmer's sweep, as a batch even of one."""
    rows = words_of(claims, by_payee=True)
    return Call(ours.chain.deployment.contract, encode_call(CHANNELS, "claim", ours.ground.token, rows))


def relay_call(ours: Tithebarn, claims: Sequence[Claim]) -> Call:
    """A relayer's claims for many farmers, for nothing."""
    return Call(
        ours.chain.deployment.contract, encode_call(CHANNELS, "claim", ours.ground.token, words_of(claims))
    )


def relay_with_fees(ours: Tithebarn, rows: Sequence[tuple[Claim, tuple[bytes, bytes, bytes]]]) -> Call:
    """A relayer's claims for many farmers, each of whom has signed a fee."""
    claims, fees = words_of([claim for claim, _ in rows]), [fee for _, fee in rows]
    data = encode_call(CHANNELS, "relay", ours.ground.token, claims, fees, [])
    return Call(ours.chain.deployment.contract, data)


def claim_with_proofs(ours: Tithebarn, rows: Sequence[tuple[Claim, bytes]]) -> Call:
    """Claims of conditional vouchers with their proofs; a single one is the sender's own."""
    claims = words_of([claim for claim, _ in rows], by_payee=len(rows) == 1)
    proofs = [proof for _, proof in rows]
    if len(rows) == 1:
        data = encode_call(CHANNELS, "claimOneProven", ours.ground.token, claims[0], proofs[0])
    else:
        data = encode_call(CHANNELS, "claimProven", ours.ground.token, claims, proofs)
    return Call(ours.chain.deployment.contract, data)
