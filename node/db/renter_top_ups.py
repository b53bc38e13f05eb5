"""What a renter's node has put into channels by itself: noted before it is sent, so that no cap is passed."""

from typing import Final

from sqlalchemy import BigInteger, Connection, Table, insert, select
from sqlmodel import Field, SQLModel

from payments.types import Amount, Timestamp
from settlement.database import AmountColumn
from settlement.tables import table


class TopUpRow(SQLModel, table=True):
    """One top-up: when, and how much it may have moved."""

    __tablename__ = "renter_top_up"

    id: int | None = Field(default=None, primary_key=True)
    at: int = Field(index=True, sa_type=BigInteger)
    amount: int = Field(sa_type=AmountColumn)


TABLES: Final[tuple[type[SQLModel], ...]] = (TopUpRow,)
_TOP_UPS: Final[Table] = table(TopUpRow)


def record_top_up(conn: Connection, amount: Amount, now: Timestamp) -> None:
    """Note a top-up that is about to be sent."""
    conn.execute(insert(_TOP_UPS).values(at=now, amount=amount))


def sum_top_ups(conn: Connection, since: Timestamp = Timestamp(0)) -> Amount:  # noqa: B008 - a number
    """Add up what was noted since then, or ever."""
    amounts = conn.execute(select(_TOP_UPS.c.amount).where(_TOP_UPS.c.at >= since)).scalars()
    return Amount(sum(amounts))
