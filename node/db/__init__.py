"""What a node keeps in its databases: the only place in `node` that knows SQL.

Tables stay behind the functions of these modules; what goes in and comes out are the frozen dataclasses of
the core. Money and statistics are separate files: losing the second one hurts nobody.
"""

from sqlalchemy import Connection

__all__ = ["Connection"]
