"""How an error met with one farmer becomes a Fault in a report."""

from node.errors import NodeError, OwnFault
from node.renter.errors import AboveLimit, NoOpenChannel, Unfunded
from node.renter.reports import Fault, Trouble
from node.transport import PeerRefused, PeerTimedOut, PeerUnreachable
from payments.errors import ChannelError, PaymentError
from payments.types import NodeId


def to_fault(farmer: NodeId, error: NodeError | PaymentError) -> Fault:
    """Say what kind of trouble an error is."""
    match error:
        case PeerUnreachable():
            return Fault(farmer, Trouble.OFFLINE, error.reason)
        case PeerTimedOut():
            return Fault(farmer, Trouble.TIMED_OUT, f"no answer within {error.seconds:g} s")
        case PeerRefused():
            return Fault(farmer, Trouble.REFUSED, error.message, error.error)
        case Unfunded() | NoOpenChannel() | ChannelError():
            return Fault(farmer, Trouble.NO_MONEY, str(error), error.code)
        case OwnFault():
            trouble = Trouble.ABOVE_LIMIT if isinstance(error, AboveLimit) else Trouble.NOT_ASKED
            return Fault(farmer, trouble, str(error), error.code)
        case _:
            return Fault(farmer, Trouble.BROKE_RULES, str(error), error.code)
