"""How a service says no: which field, what is wrong, what to do. Nothing was changed when one is raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self


class Problem(NamedTuple):
    """One thing that is wrong: its form field ("" for the whole form), and a sentence that says what to do."""

    field: str
    message: str


class Refused(Exception):
    """The request was refused, for all the reasons in `problems`; forms show each beside its field."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = tuple(problems)

    @classmethod
    def because(cls, message: str, field: str = "") -> Self:
        """A refusal for one reason."""
        return cls([Problem(field, message)])
