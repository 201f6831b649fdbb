"""What may stand in a target, at any moment and in the end. Rows are those that clients read."""

import collections
from dataclasses import dataclass, field
from typing import Collection, Dict, List, Sequence, Set

from campaign.databases import Content, Database, Ledger
from campaign.table_data import TABLES, THEIRS, Seen, Table, key_of

# Tables of the target that stand before, by mode; the others the engine makes.
STANDING: Dict[str, Sequence[str]] = {
    "create": (), "replace": [table.name for table in TABLES],
    "append": ("ints", "names", "pairs", "heap"), "merge": ("ints", "names", "pairs"),
}
MODES = tuple(STANDING)
ADDS = ("append", "merge")

Problems = List[str]


def taken(mode: str) -> List[Table]:
    """The tables that are copied: what has no key cannot be merged."""
    return [table for table in TABLES if table.key or mode != "merge"]


def content(database: Database, tables: Sequence[Table]) -> Content:
    """The rows of those tables that are there."""
    return database.look(tables)[0]


def problem(word: str, name: str, rows: Collection[str]) -> Problems:
    """What is wrong with these rows, where there are any."""
    shown = ", ".join(repr(row) for row in sorted(rows)[:3])
    count = sum(rows.values()) if isinstance(rows, collections.Counter) else len(rows)
    return [f"{word}: {count} rows of {name}: {shown}"] if rows else []


def equal(name: str, found: Seen, wanted: Seen) -> Problems:
    """Whether these are the rows, each as often as it should be."""
    lost, extra = wanted - found, found - wanted
    doubled = Seen({row: count for row, count in extra.items() if wanted[row]})
    strange = extra - doubled
    return [
        *problem("lost", name, lost), *problem("doubled", name, doubled),
        *problem("strange", name, strange),
    ]


@dataclass
class Goal:
    """What a target held before, and everything that the source ever held."""

    mode: str
    old: Content
    versions: List[Content] = field(default_factory=list)

    def before(self, name: str) -> Seen:
        """Rows of a table that stood before."""
        return self.old.get(name, Seen())

    def theirs(self, now: Content) -> Problems:
        """Whether a table that is none of the source's is as it was."""
        found = equal(THEIRS.name, now.get(THEIRS.name, Seen()), self.before(THEIRS.name))
        return [f"touched: {problem}" for problem in found]

    def moment(self, now: Content, ledger: Ledger) -> Problems:
        """Whether every row is old or of the source, none doubled, and each span whole.

        What is somebody else's stays as it was.

        `ledger`: spans and rows of each table that the engine says it committed.
        """
        problems = self.theirs(now)
        for table in taken(self.mode):
            found = now.get(table.name)
            if found is None:
                # Nothing but `replace` removes a table, and then with all its rows.
                gone = table.name in self.old and self.mode != "replace"
                problems += [f"lost: the table {table.name}"] if gone else []
            elif table.name in ledger:
                problems += self.moment_of(table, found)
                problems += self.whole(table, found, ledger[table.name][1])
            elif found != self.before(table.name):
                problems += [f"strange: {table.name} has rows that no span is for"]
        return problems

    def moment_of(self, table: Table, found: Seen) -> Problems:
        """Whether a table's rows are some of those that it may have."""
        # Rows of two versions may stand there until a resume has compared them.
        ever: Seen = sum((version[table.name] for version in self.versions), collections.Counter())
        old = self.before(table.name)
        if self.mode == "merge":
            problems = keyed_twice(table.name, found)
            missing = {key_of(row) for row in old} - {key_of(row) for row in found}
            problems += problem("lost: old", table.name, missing)
            allowed = set(old) | set(ever)
        elif self.mode == "append":
            problems = equal(table.name, found & old, old)
            found, allowed = found - old, set(ever)
        else:
            problems, allowed = [], set(ever)
        problems += problem("strange", table.name, set(found) - allowed)
        doubled = {row for row in found if row in ever and found[row] > max(ever[row], old[row])}
        return problems + problem("doubled", table.name, doubled)

    def whole(self, table: Table, found: Seen, committed: int) -> Problems:
        """Whether as many rows stand there as the committed spans have."""
        if self.mode == "merge" and table.name in self.old:
            return []
        own = found.total() - (self.before(table.name).total() if self.mode in ADDS else 0)
        if own == committed:
            return []
        return [f"torn: {own} rows of {table.name} stand there, and {committed} are told of"]

    def end(self, now: Content) -> Problems:
        """Whether the target is what it must be."""
        problems = self.theirs(now)
        for table in taken(self.mode):
            source, old = self.versions[-1][table.name], self.before(table.name)
            found = now.get(table.name)
            if found is None:
                problems.append(f"lost: the table {table.name}")
            elif self.mode == "append":
                problems += equal(table.name, found, source + old)
            elif self.mode == "merge":
                problems += self.merged(table, found)
            else:
                problems += equal(table.name, found, source)
        return problems

    def merged(self, table: Table, found: Seen) -> Problems:
        """Whether every row of the source stands there, beside old ones of other keys."""
        source, old = self.versions[-1][table.name], self.before(table.name)
        keys = {key_of(row) for row in source}
        problems = keyed_twice(table.name, found) + equal(
            table.name, Seen({row: 1 for row in found if key_of(row) in keys}), source
        )
        kept = {row for row in found if key_of(row) not in keys}
        # What was merged before the source lost it may stay.
        may = set(old).union(*(version[table.name] for version in self.versions[:-1]))
        must: Set[str] = {row for row in old if key_of(row) not in self.ever_keys(table)}
        problems += problem("strange", table.name, kept - may)
        return problems + problem("lost: old", table.name, must - kept)

    def ever_keys(self, table: Table) -> Set[str]:
        """Keys that the source had at some time."""
        return {key_of(row) for version in self.versions for row in version[table.name]}


def keyed_twice(name: str, found: Seen) -> Problems:
    """Whether any key stands there twice."""
    keys = collections.Counter(key_of(row) for row in found.elements())
    twice = [key for key, count in keys.items() if count > 1]
    return [f"doubled: {len(twice)} keys of {name}, such as {twice[0]!r}"] if twice else []


def built(target: Database, mode: str) -> Problems:
    """Whether keys, indexes and references are there, and no table of the engine's own."""
    problems = []
    there, wanted = set(target.tables()), {table.name for table in [*taken(mode), THEIRS]}
    problems += [f"leftover: the table {name}" for name in sorted(there - wanted)]
    structure = target.structure()
    for table in taken(mode):
        own = [f"p {table.name} {','.join(table.key)}"] if table.key else []
        own += [f"i {table.name} {table.index}"] if table.index else []
        own += [f"f {table.name} {table.refers[0]}"] if table.refers[0] else []
        problems += [f"lost: {words!r} of the structure" for words in own if words not in structure]
    return problems
