"""The stories: which sites lie on the way of what a renter or farmer does, and how to get there again.

`STORIES` is the enumeration: every site of the source stands in at least one of them. What one story leaves
behind the next one begins with, so their order matters.
"""

from typing import Final

from tests.kill_matrix.stories_chain_news import CHAIN_NEWS
from tests.kill_matrix.stories_deals import DEALS
from tests.kill_matrix.stories_onlookers import ONLOOKERS
from tests.kill_matrix.stories_queue import QUEUE
from tests.kill_matrix.stories_restores import RESTORES
from tests.kill_matrix.stories_troubles import TROUBLES
from tests.kill_matrix.stories_upkeep import UPKEEP

STORIES: Final = (*DEALS, *ONLOOKERS, *TROUBLES, *QUEUE, *RESTORES, *CHAIN_NEWS, *UPKEEP)
