"""How long a farmer's claims took, from the decision to the confirmed transaction: the worst of each day."""

from typing import Final

from sqlalchemy import BigInteger, Connection, delete, func, insert, select, update
from sqlmodel import Field, SQLModel

from payments.types import Seconds, Timestamp
from settlement.tables import table

DAY: Final = 86_400
KEPT_DAYS: Final = 30
"""A claim slower than all since counts for so long."""


class FarmerLatencyRow(SQLModel, table=True):
    """One day (since 1970) and the longest a claim took that was confirmed on it, in seconds."""

    __tablename__ = "farmer_latency"

    day: int = Field(sa_type=BigInteger, primary_key=True)
    worst: int = Field(sa_type=BigInteger)


TABLES: Final[tuple[type[SQLModel], ...]] = (FarmerLatencyRow,)
_LATENCY: Final = table(FarmerLatencyRow)


def record_latency(conn: Connection, seconds: Seconds, now: Timestamp) -> None:
    """Note how long a claim took; forget days that no longer count."""
    day = now // DAY
    conn.execute(delete(_LATENCY).where(_LATENCY.c.day <= day - KEPT_DAYS))
    known = conn.execute(select(_LATENCY.c.worst).where(_LATENCY.c.day == day)).scalar()
    if known is None:
        conn.execute(insert(_LATENCY).values(day=day, worst=seconds))
    elif seconds > known:
        conn.execute(update(_LATENCY).where(_LATENCY.c.day == day).values(worst=seconds))


def worst_latency(conn: Connection, now: Timestamp) -> Seconds | None:
    """Read the longest of the days that count; None if nothing was claimed on them."""
    counting = _LATENCY.c.day > now // DAY - KEPT_DAYS
    found = conn.execute(select(func.max(_LATENCY.c.worst)).where(counting)).scalar()
    return None if found is None else Seconds(int(found))
