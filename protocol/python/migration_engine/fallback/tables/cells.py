"""Columns on their way, and what is asked of them."""

from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

from .choices import Mask
from .kinds import Kind


class Cell(NamedTuple):
    """A column as it is read or written."""

    name: str
    kind: Kind
    misfit: str = "fail"
    """What happens to a value that the kind cannot hold: a policy."""
    mask: Optional[Mask] = None
    """How its values are hidden as they are read."""


class Question(NamedTuple):
    """What a census asks of a column."""

    column: str
    loss: str
    kind: Kind
    """The kind that values are declared as; of outer bounds, the one that they travel as."""
    bounds: Tuple[int, int] = (0, 0)
    """The least and the greatest integer, digits in front of the point and behind, or a length."""
