"""Names at the target, each given out once."""

from __future__ import annotations

from typing import List, Set, Tuple

from .blake3 import blake3_hex
from .sql import NAME_BYTES_MAX

_TAG = 8


class Namer:
    """Gives out names that the target takes; it does not tell names apart by case."""

    def __init__(self, own: str = "") -> None:
        """`own`: how the names begin that only the engine gives, in small letters."""
        self._own = own
        self._given: Set[str] = set()
        self.renamed: List[Tuple[str, str]] = []

    def name(self, name: str) -> str:
        """The same name where that is possible, else its beginning and a digest of the whole."""
        own = self._own != "" and name.lower().startswith(self._own)
        fits = len(name.encode("utf-8")) <= NAME_BYTES_MAX and "\0" not in name
        if fits and not own and self._free(name):
            return name
        tries = 0
        while True:
            tag = blake3_hex(("%s\0%d" % (name, tries)).encode("utf-8"))[:_TAG]
            made = "%s_%s" % (_cut("_" + name if own else name), tag)
            if self._free(made):
                self.renamed.append((name, made))
                return made
            tries += 1

    def _free(self, name: str) -> bool:
        folded = name.lower()
        if folded in self._given:
            return False
        self._given.add(folded)
        return True


def _cut(name: str) -> str:
    kept = name.replace("\0", "").encode("utf-8")[: NAME_BYTES_MAX - _TAG - 1]
    return kept.decode("utf-8", "ignore")
