"""The peer book's interface is one that the renter's own book fits."""

from node.network import Peer, PeerBook
from node.renter.peers import Peers
from payments.types import NodeId


def test_the_renters_own_book_is_a_peer_book() -> None:
    def look_up(book: PeerBook, node: NodeId) -> Peer | None:
        return book.find(node) or next(iter(book.list()), None)

    book: type[PeerBook] = Peers
    assert callable(look_up)
    assert {name for name in vars(PeerBook) if not name.startswith("_")} <= set(vars(book))
