"""What a farmer and its watchtower say to each other."""

from typing import ClassVar

from node.fields import AmountText, Bytes20, Bytes32
from node.messages import AUDIT_LIMIT, Message, ProvenMessage, SignedVoucherMessage, TermsMessage


class WatchChannel(Message):
    """POST /v1/watch: a channel's terms and its newest vouchers, the conditional one with its proof."""

    limit: ClassVar[int] = AUDIT_LIMIT
    terms: TermsMessage
    paid: SignedVoucherMessage | None
    proven: ProvenMessage | None


class WatchedChannel(Message):
    """What the tower holds of the channel, on its disk: totals, of which 0 is none."""

    channel_id: Bytes32
    paid: AmountText
    proven: AmountText
    gas_key: Bytes20
