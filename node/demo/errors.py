"""What can be wrong with a story before it begins."""

from node.errors import CannotCheck, OwnFault


class ImpossibleStory(OwnFault):
    """The numbers asked for do not fit together."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class StageCollapsed(CannotCheck):
    """Something the story stands on gave way: a farmer's process does not start, a command fails."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
