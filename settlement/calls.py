"""The calls of one deployment: transactions ready to be sent to PaymentChannels and its tokens.

Nothing is asked of a node here. What the contract would refuse, `Chain.simulate` finds out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from payments.funding import Authorization, Funding, Permit, SplitSignature, WitnessedTransfer
from payments.relay_fees import SignedFee
from payments.types import ZERO32, Address, Amount, Seconds
from payments.vouchers import SignedVoucher, Terms
from settlement.abi import CHANNELS, TOKEN, encode_call
from settlement.chain_events import key, row
from settlement.deployment import Deployment

_NOBODY: Final = Address(bytes(20))


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction to be: where to, the data, wei to go with it. What `--unsigned` prints."""

    to: Address
    data: bytes
    value: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One voucher to be turned into tokens, with its channel's terms.

    `proof`: what makes a conditional voucher good, packed as the contract reads it; else empty.
    """

    terms: Terms
    voucher: SignedVoucher
    proof: bytes = b""


@dataclass(frozen=True, slots=True)
class Fee:
    """What a relayer keeps of one claim, and the payee's word that it may."""

    amount: Amount
    signed: SignedFee


class Calls:
    """Builds the calls of one deployment. The token is the deployment's by default."""

    def __init__(self, deployment: Deployment) -> None:
        self._contract = deployment.contract
        self._deployed_token = deployment.token

    def fund(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        targets: Sequence[tuple[Address, Amount]],
        token: Address | None = None,
    ) -> Call:
        """Raise the sender's channels to these payees to these total deposits. Needs an allowance.

        A single one goes by `fundOne`, which is cheaper, and reverts where `fund` skips.
        """
        rows = [row(payee, target) for payee, target in targets]
        if len(rows) == 1:
            packed = key(signer, challenge_period)
            return self._channels("fundOne", self._token(token), packed, salt, rows[0])
        return self._channels("fund", signer, self._token(token), challenge_period, salt, rows)

    def fund_with_permit(self, funding: Funding, permit: Permit, signed: SplitSignature) -> Call:
        """`fund`, the allowance being the sender's ERC-2612 permit that comes along."""
        terms = (funding.signer, funding.token, funding.challenge_period, funding.salt)
        fields = (permit.value, permit.deadline, signed.v, signed.r, signed.s)
        return self._channels("fundWithPermit", *terms, list(funding.rows), fields)

    def fund_with_authorization(
        self, funding: Funding, authorization: Authorization, signed: SplitSignature
    ) -> Call:
        """Fund the channels of a payer that has signed EIP-3009's authorization; anybody may send it.

        Its value must be exactly what these rows move.
        """
        fields = (authorization.valid_after, authorization.valid_before, signed.v, signed.r, signed.s)
        return self._channels("fundWithAuthorization", _funding(funding), fields)

    def fund_with_permit2(self, transfer: WitnessedTransfer, signature: bytes) -> Call:
        """Fund the channels of a payer that has signed a Permit2 transfer; anybody may send it."""
        fields = (transfer.amount, transfer.nonce, transfer.deadline, signature)
        return self._channels("fundWithPermit2", _funding(transfer.funding), fields)

    def push(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        totals: Sequence[tuple[Address, Amount]],
        token: Address | None = None,
    ) -> Call:
        """Pay these totals from the sender's own channels without vouchers."""
        rows = [row(payee, total) for payee, total in totals]
        return self._channels("push", signer, self._token(token), challenge_period, salt, rows)

    def request_close(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        payees: Sequence[Address],
        token: Address | None = None,
    ) -> Call:
        """Start the challenge period of the sender's channels to these payees."""
        return self._channels(
            "requestClose", signer, self._token(token), challenge_period, salt, list(payees)
        )

    def withdraw(
        self,
        signer: Address,
        challenge_period: Seconds,
        salt: bytes,
        payees: Sequence[Address],
        token: Address | None = None,
    ) -> Call:
        """Take back what is left in the sender's channels after their challenge period."""
        return self._channels("withdraw", signer, self._token(token), challenge_period, salt, list(payees))

    def release(self, terms: Terms) -> Call:
        """End the wait: the sender, payee of the channel, lets the rest go back to the payer."""
        fields = (terms.payer, terms.signer, terms.payee, terms.token, terms.challenge_period, terms.salt)
        return self._channels("release", fields)

    def claim(self, claims: Sequence[Claim]) -> Call:
        """Claim vouchers of one token by the cheapest function that can. The order of the rows is kept."""
        token, rows, proofs = claims[0].terms.token, _claim_rows(claims), _proofs(claims)
        if len(rows) == 1 and proofs:
            return self._channels("claimOneProven", token, rows[0], proofs[0])
        if len(rows) == 1:
            return self._channels("claimOne", token, rows[0])
        if proofs:
            return self._channels("claimProven", token, rows, proofs)
        return self._channels("claim", token, rows)

    def relay(self, claims: Sequence[Claim], fees: Sequence[Fee | None] = ()) -> Call:
        """Claim for others, the sender keeping the fee beside each row as far as its payee has allowed it."""
        token, rows, proofs = claims[0].terms.token, _claim_rows(claims), _proofs(claims)
        return self._channels("relay", token, rows, [_fee(fee) for fee in fees], proofs)

    def approve(self, amount: int, token: Address | None = None) -> Call:
        """Let PaymentChannels take up to `amount` base units from the sender."""
        data = encode_call(TOKEN, "approve", self._contract, amount)
        return Call(self._token(token), data)

    def transfer(self, to: Address, amount: Amount) -> Call:
        """Send the deployment's tokens."""
        return Call(self._deployed_token, encode_call(TOKEN, "transfer", to, amount))

    def _channels(self, function: str, *arguments: object) -> Call:
        return Call(self._contract, encode_call(CHANNELS, function, *arguments))

    def _token(self, token: Address | None) -> Address:
        return self._deployed_token if token is None else token


def _funding(funding: Funding) -> tuple[object, ...]:
    terms = (funding.payer, funding.signer, funding.token, funding.challenge_period, funding.salt)
    return (*terms, list(funding.rows))


def _fee(fee: Fee | None) -> tuple[bytes, bytes, bytes]:
    """Pack a fee: `fee || maximum || deadline`, r, vs; zeros for none."""
    if fee is None:
        return (ZERO32, ZERO32, ZERO32)
    terms, signature = fee.signed.terms, fee.signed.signature
    packed = fee.amount.to_bytes(12) + terms.maximum.to_bytes(12) + terms.deadline.to_bytes(8)
    return (packed, signature[:32], signature[32:])


def _claim_rows(claims: Sequence[Claim]) -> list[tuple[object, ...]]:
    return [_claim_row(claim, before) for claim, before in zip(claims, (None, *claims), strict=False)]


def _proofs(claims: Sequence[Claim]) -> list[bytes]:
    """List the rows' proofs as far as there are any: a missing one costs nothing, an empty one two words."""
    last = max((index for index, claim in enumerate(claims) if claim.proof), default=-1)
    return [claim.proof for claim in claims[: last + 1]]


def _claim_row(claim: Claim, before: Claim | None) -> tuple[object, ...]:
    """Pack one row; zeros mean "as the row before"."""
    terms, signature = claim.terms, claim.voucher.signature
    last = None if before is None else before.terms
    payee = _NOBODY if last is not None and last.payee == terms.payee else terms.payee
    head: tuple[bytes, bytes, bytes] = (terms.payer, key(terms.signer, terms.challenge_period), terms.salt)
    if last is not None and replace(last, payee=terms.payee) == terms:
        head = (_NOBODY, ZERO32, ZERO32)
    payer, packed, salt = head
    return (payer, packed, row(payee, claim.voucher.total), salt, signature[:32], signature[32:])
