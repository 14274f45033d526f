"""Rejected: the error of an entry that control cannot apply."""


class Rejected(Exception):
    """An entry cannot be applied and becomes a dead letter. `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
