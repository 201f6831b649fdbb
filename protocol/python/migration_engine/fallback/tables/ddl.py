"""What no pragma tells of a table: its checks and the expressions of its generated columns.

Both are read from the table's own statement.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional, Sequence, Tuple

_TOKEN = re.compile(
    r"""(?P<none>[ \t\n\f\r]+|--[^\n]*\n?|/\*.*?(?:\*/|\Z))
    |(?P<text>'[^']*(?:''[^']*)*'?)
    |(?P<name>"[^"]*(?:""[^"]*)*"?|`[^`]*(?:``[^`]*)*`?|\[[^\]]*\]?)
    |(?P<word>[A-Za-z0-9_$\u0080-\U0010ffff]+)
    |(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")


class Token(NamedTuple):
    """A word of a statement: what it is, its text, where it begins and ends."""

    sort: str
    text: str
    at: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is this bare word, in any case."""
        return self.sort == "word" and self.text.upper() == word

    @property
    def name(self) -> str:
        """The name it stands for: without quotes, doubled ones made single."""
        if self.sort not in ("name", "text"):
            return self.text
        mark = self.text[0]
        end = "]" if mark == "[" else mark
        if len(self.text) < 2 or not self.text.endswith(end):
            return ""
        inside = self.text[1:-1]
        return inside if mark == "[" else inside.replace(mark * 2, mark)


class Parts(NamedTuple):
    """What a ``CREATE TABLE`` holds: checks and generated columns, each a name and its words."""

    checks: List[Tuple[str, str]]
    generated: List[Tuple[str, str]]


def collations(sql: str) -> List[str]:
    """The collations that a ``CREATE TABLE`` names, but for the usual one, each once."""
    found = tokens(sql)
    named = [name.name for word, name in zip(found, found[1:]) if word.is_word("COLLATE")]
    return list(dict.fromkeys(name for name in named if name.upper() != "BINARY"))


def tokens(sql: str) -> List[Token]:
    """The words of a statement, without spaces and comments."""
    found = _TOKEN.finditer(sql)
    return [
        Token(str(one.lastgroup), one.group(), one.start(), one.end())
        for one in found
        if one.lastgroup != "none"
    ]


def parts(sql: str) -> Parts:
    """Reads a ``CREATE TABLE``."""
    words = tokens(sql)
    found = Parts([], [])
    opened = next((at for at, token in enumerate(words) if _is_mark(token, "(")), None)
    if opened is not None:
        for item in _split(_inside(words[opened:])):
            _read_item(sql, item, found)
    return found


def predicate(sql: str) -> str:
    """The condition of a partial index, from its ``CREATE INDEX``."""
    depth = 0
    for token in tokens(sql):
        depth = max(0, depth + _step(token))
        if depth == 0 and token.is_word("WHERE"):
            return sql[token.end :].strip()
    return ""


def _is_mark(token: Token, mark: str) -> bool:
    return token.sort == "mark" and token.text == mark


def _step(token: Token) -> int:
    if token.sort != "mark":
        return 0
    return {"(": 1, ")": -1}.get(token.text, 0)


def _inside(words: Sequence[Token]) -> Sequence[Token]:
    """The words between the bracket at the front and the one that closes it."""
    depth = 0
    for at, token in enumerate(words):
        depth = max(0, depth + _step(token))
        if depth == 0 and _is_mark(token, ")"):
            return words[1:at]
    return words[1:]


def _split(words: Sequence[Token]) -> List[Sequence[Token]]:
    """The parts between commas that stand in no bracket."""
    items: List[Sequence[Token]] = []
    depth = begin = 0
    for at, token in enumerate(words):
        depth = max(0, depth + _step(token))
        if depth == 0 and _is_mark(token, ","):
            items.append(words[begin:at])
            begin = at + 1
    return [*items, words[begin:]]


def _read_item(sql: str, item: Sequence[Token], found: Parts) -> None:
    """A column or a constraint of the table."""
    if not item:
        return
    is_constraint = any(item[0].is_word(word) for word in _CONSTRAINTS)
    column: Optional[str] = None if is_constraint else item[0].name
    name, at = "", 0 if is_constraint else 1
    while at < len(item):
        token, rest = item[at], item[at + 1 :]
        if _is_mark(token, "("):
            at += len(_inside(item[at:])) + 2
            continue
        if token.is_word("CONSTRAINT"):
            name = rest[0].name if rest and rest[0].sort != "mark" else ""
            at += 2
            continue
        bracket = bool(rest) and _is_mark(rest[0], "(")
        if bracket and token.is_word("CHECK"):
            found.checks.append((name, _between(sql, rest)))
            name = ""
        elif bracket and column is not None and token.is_word("AS"):
            found.generated.append((column, _between(sql, rest)))
        at += 1


def _between(sql: str, words: Sequence[Token]) -> str:
    """The text inside the bracket at the front."""
    inside = _inside(words)
    return sql[inside[0].at : inside[-1].end] if inside else ""
