"""The examiner: audits everything a farmer stores in one channel, one challenge at a time.

Total, voucher and challenge are on disk before they leave. The same challenge is sent until it is
answered or its window has closed, whatever restarts lie between; a farmer that declines some items is
asked for the others at once, in a new challenge; one that has proven more than we knew shows its proof,
and is asked again on top of it. What passes earns, once; what fails earns nothing further.
"""

import os
from collections import deque
from collections.abc import Sequence
from typing import Final

from node.audit import Answer, Challenge, Window, verify_proof
from node.db import Connection
from node.db.renter_audits import AuditRecord, load_audit, load_open_audits
from node.errors import NodeError, OwnFault
from node.hex import from_hex
from node.messages import (
    AuditAnswer,
    AuditRequest,
    Behind,
    ChallengeMessage,
    Declined,
    Proven,
    SignedVoucherMessage,
)
from node.renter.accounts import AWAY, UNAGREED, Accounts
from node.renter.batches import Subject, group_subjects, to_items
from node.renter.channels import Channels
from node.renter.conclusions import Conclusions, Step
from node.renter.context import Context
from node.renter.errors import NotReconciled, Unfunded
from node.renter.examined import Examined, passed, unchecked
from node.renter.faults import to_fault
from node.renter.money import (
    Account,
    Payment,
    issue_audit,
    issue_payment,
    load_account,
    pass_audit,
    record_delivery,
)
from node.renter.reports import Fault
from node.transport import PeerBrokeRules, PeerRefused, PeerTimedOut, PeerUnreachable
from payments.errors import PaymentError
from payments.types import Amount, NodeId

SENDINGS: Final = 4
"""Times a challenge is sent in one try, while the farmer's objections can be removed."""
LOST: Final = frozenset({"UNKNOWN_AGREEMENT", "AGREEMENT_NOT_FOUND", "NOT_STORED", "AGREEMENT_OVER"})
"""A farmer that signed for a shard says that it does not have it."""
TOO_MUCH: Final = frozenset({"STEP_ABOVE_EXPOSURE", "CHALLENGE_TOO_LARGE"})


class Examiner:
    """Audits farmers."""

    def __init__(self, context: Context, accounts: Accounts, channels: Channels) -> None:
        self._context = context
        self._accounts = accounts
        self._channels = channels
        self._conclusions = Conclusions(context)
        self._most: dict[NodeId, Amount] = {}

    async def examine(self, farmer: NodeId, subjects: Sequence[Subject]) -> Examined:
        """Audit these shards of one farmer; none of its faults is raised."""
        try:
            account = await self._reach(farmer)
        except (NodeError, PaymentError) as error:
            return unchecked(subjects, to_fault(farmer, error))
        async with self._context.locks.hold(account.channel.id):
            return await self._examine(account, subjects)

    async def _reach(self, farmer: NodeId) -> Account:
        """Return the farmer's channel, ready; that of a farmer that is away must be ready from before."""
        try:
            return await self._accounts.ready(farmer)
        except (PeerUnreachable, PeerTimedOut):
            known = self._accounts.known(farmer)
            if known is None:
                raise
            return known

    async def resume(self, audit: AuditRecord, subjects: Sequence[Subject]) -> Examined:
        """Send an open challenge once more, `subjects` being its items, and ask anew for what it leaves."""
        context = self._context
        account = context.database.read(lambda conn: load_account(conn, audit.channel_id))
        try:
            await self._accounts.reconciled(account)
        except NotReconciled as error:
            return unchecked(subjects, to_fault(account.farmer, error))
        except (NodeError, PaymentError):
            pass  # a farmer that is away is counted as such when the challenge is sent
        async with context.locks.hold(audit.channel_id):
            fresh = context.database.read(lambda conn: load_audit(conn, audit.audit_id))
            if fresh is None or not fresh.open:
                decided = self._conclusions.look(audit, subjects)
                return decided.examined if decided else Examined()
            step = await self._try(account, fresh, subjects)
            if step.open or not step.again:
                return step.examined
            return step.examined + await self._examine(account, step.again)

    async def _examine(self, account: Account, subjects: Sequence[Subject]) -> Examined:
        examined = Examined()
        queue = deque(group_subjects(subjects, self._most.get(account.farmer)))
        while queue:
            group = queue.popleft()
            try:
                audit = await self._open(account, group)
            except (Unfunded, PaymentError) as error:
                rest = [subject for waiting in (group, *queue) for subject in waiting]
                return examined + unchecked(rest, to_fault(account.farmer, error))
            if audit is None:
                return examined
            step = await self._try(account, audit, group)
            examined += step.examined
            if step.open:
                break
            queue.extendleft(reversed(group_subjects(step.again, self._most.get(account.farmer))))
        return examined

    async def _open(self, account: Account, group: Sequence[Subject]) -> AuditRecord | None:
        """Write a new challenge down; None if another one is open in the channel."""
        context, channel = self._context, account.channel.id
        items = to_items(group, os.urandom)
        challenge = Challenge(os.urandom(32), items)
        terms = [subject.shard.agreement for subject in group]
        window = Window(
            opened_at=context.now(),
            response_deadline=min(one.response_deadline for one in terms),
            end=max(one.end for one in terms),
        )

        def work(conn: Connection) -> AuditRecord | None:
            if load_open_audits(conn, channel):
                return None
            return issue_audit(
                conn,
                context.pen,
                channel,
                challenge=challenge,
                step=Amount(sum(one.step for one in terms)),
                window=window,
                intervals={subject.shard.agreement_id: subject.interval for subject in group},
            )

        return await context.database.write(work)

    async def _try(self, account: Account, audit: AuditRecord, subjects: Sequence[Subject]) -> Step:
        """Send a challenge until the farmer has no objection left that we can remove."""
        fault: Fault | None = None
        for _ in range(SENDINGS):
            answer = Answer.SILENT
            try:
                verdict = await self._once(account, audit, subjects)
            except PeerRefused as refusal:
                fault = to_fault(account.farmer, refusal)
                verdict = await self._refused(account, audit, subjects, refusal)
                answer = self._meaning(account, refusal)
            except (NodeError, PaymentError) as error:
                fault, answer = to_fault(account.farmer, error), _answer(error)
                verdict = False
            if isinstance(verdict, Step):
                return verdict
            if not verdict:
                break
        return await self._conclusions.note_unanswered(audit, subjects, answer, fault)

    def _meaning(self, account: Account, refusal: PeerRefused) -> Answer:
        if refusal.error in AWAY:
            return Answer.UNREACHABLE
        return Answer.OUR_FAULT if self._accounts.ours(account, refusal) else Answer.SILENT

    async def _once(self, account: Account, audit: AuditRecord, subjects: Sequence[Subject]) -> Step | bool:
        """Send a challenge once: a step if that decides it, else whether to send it again."""
        names = {subject.shard.agreement_id for subject in subjects}
        try:
            shown, reply = await self._send(account, audit)
        except PeerBrokeRules as error:
            if not error.answered:
                raise
            return await self._conclusions.conclude(
                audit, subjects, dict.fromkeys(names, f"no proof: {error.reason}")
            )
        match reply:
            case Proven():
                return await self._proven(audit, subjects, reply, shown)
            case Declined():
                lost = names & set(reply.agreements)
                failed = dict.fromkeys(lost, "the farmer says that it cannot prove it")
                return await self._conclusions.conclude(audit, subjects, failed) if lost else False
            case Behind():
                await self._channels.learn_proof(account.farmer, account.channel.id, reply)
                return self._conclusions.look(audit, subjects) or True

    async def _send(self, account: Account, audit: AuditRecord) -> tuple[Amount, Proven | Declined | Behind]:
        """Send the challenge with its present vouchers; the unconditional total it shows, and the reply."""
        context = self._context

        def work(conn: Connection) -> tuple[AuditRecord, Payment | None]:
            fresh = load_audit(conn, audit.audit_id) or audit
            channel = load_account(conn, audit.channel_id).channel
            if fresh.voucher.total < channel.earned + fresh.step:
                raise Unfunded(account.farmer, channel.earned + fresh.step, channel.deposit)
            paid = issue_payment(conn, context.pen, channel.id) if channel.earned else None
            return fresh, paid

        fresh, paid = await context.database.write(work)
        message = AuditRequest(
            paid=SignedVoucherMessage.of(paid.voucher) if paid else None,
            challenge=ChallengeMessage.of(fresh.challenge),
            voucher=SignedVoucherMessage.of(fresh.voucher),
        )
        target = self._accounts.target(account.farmer)
        answer = await context.transport.post(target, "/v1/audits", message, AuditAnswer)
        return paid.voucher.total if paid else Amount(0), answer.root

    async def _proven(
        self, audit: AuditRecord, subjects: Sequence[Subject], reply: Proven, shown: Amount
    ) -> Step:
        """Verify a proof: all of it earns, or bad items have failed and the others are asked for anew."""
        lengths = {subject.shard.agreement_id: subject.shard.agreement.shard_length for subject in subjects}
        verdicts = verify_proof(audit.challenge, reply.proof.core(), lengths)
        bad = {verdict.agreement: verdict.fault.value for verdict in verdicts if verdict.fault is not None}
        if bad:
            return await self._conclusions.conclude(audit, subjects, bad)
        context = self._context
        now = context.now()

        def work(conn: Connection) -> Amount:
            record_delivery(conn, audit.channel_id, shown)
            return pass_audit(conn, audit.audit_id, now, "proven")

        earned = await context.database.write(work)
        return Step(Examined(passed(subjects, earned, "proven")))

    async def _refused(
        self, account: Account, audit: AuditRecord, subjects: Sequence[Subject], refusal: PeerRefused
    ) -> Step | bool:
        """Judge a refusal: a step if it decides something, else whether to send the challenge again."""
        if refusal.error in LOST:
            lost = _named(refusal) & {subject.shard.agreement_id for subject in subjects}
            if refusal.error in UNAGREED:
                try:
                    shards = [subject.shard for subject in subjects]
                    if lost & await self._accounts.hand_back(account, shards):
                        return True
                except (NodeError, PaymentError):
                    return False
            failed = dict.fromkeys(lost, refusal.message)
            return await self._conclusions.conclude(audit, subjects, failed) if lost else False
        if refusal.error in TOO_MUCH and len(subjects) > 1:
            self._most[account.farmer] = Amount(audit.step // 2)
            return await self._conclusions.conclude(audit, subjects, {})
        try:
            return await self._accounts.mend(account, refusal)
        except (NodeError, PaymentError):
            return False


def _answer(error: Exception) -> Answer:
    """What an error says of the farmer: an answer that is none counts as silence."""
    match error:
        case PeerUnreachable():
            return Answer.UNREACHABLE
        case OwnFault() | PaymentError():
            return Answer.OUR_FAULT
        case _:
            return Answer.SILENT


def _named(refusal: PeerRefused) -> set[bytes]:
    """The agreement that a refusal is about."""
    try:
        return {from_hex(refusal.values.get("agreement"), 32)}
    except ValueError:
        return set()
