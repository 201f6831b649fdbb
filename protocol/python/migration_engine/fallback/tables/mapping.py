"""What becomes of each table at the target: its columns and as what they travel."""

from __future__ import annotations

from typing import FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from ..faults import Fault
from . import kinds, statements
from .catalog import Catalog, Column, ForeignKey, Index, Table
from .cells import Cell, Question
from .choices import Choices, Mask
from .naming import Namer
from .standing import fit, same_key
from .statements import Statements


class TablePlan(NamedTuple):
    """What will be done with one table."""

    source: Table
    target: Table
    read: Tuple[Cell, ...]
    write: Tuple[Cell, ...]
    filter: str
    questions: Tuple[Question, ...]
    notes: Tuple[Tuple[str, str], ...]
    renamed: Tuple[Tuple[str, str], ...]
    stands: bool
    statements: Statements


class Mapping:
    """Both sides, and what was chosen."""

    def __init__(
        self,
        source: Catalog,
        there: Catalog,
        choices: Choices,
        as_text: FrozenSet[Tuple[str, str]] = frozenset(),
    ) -> None:
        self._source = source
        self._there = there
        self._choices = choices
        self._as_text = as_text

    def plan(self) -> List[TablePlan]:
        """The plans of all tables that are wanted, the largest first."""
        wanted = [table for table in self._source.tables if self._choices.takes(table.name)]
        if not wanted and self._source.tables:
            raise Fault("TABLE_NOT_FOUND", "no table is selected")
        self._known_names()
        # Python keeps the order of equals, also backwards.
        wanted.sort(key=_size, reverse=True)
        names = Namer("sqlite_")
        rename = self._choices.rename
        named = [
            (table, self._there.spelled(names.name(rename.get(table.name, table.name))))
            for table in wanted
        ]
        return [self._one(table, name, named) for table, name in named]

    def _known_names(self) -> None:
        """A name in the command that nothing has would change nothing, in silence."""
        chosen = self._choices
        tables = {table.name for table in self._source.tables}
        columns = {
            "%s.%s" % (table.name, column.name)
            for table in self._source.tables
            for column in table.columns
        }
        asked = [
            *((name, tables) for name in [*sorted(chosen.columns), *sorted(chosen.filters)]),
            *((name, columns) for name in sorted(chosen.masks)),
            *((name, tables | columns) for name in sorted(chosen.rename)),
        ]
        for name, known in asked:
            if name not in known:
                message = "what the command names is not there"
                raise Fault("TABLE_NOT_FOUND", message, path=name.encode("utf-8"))

    def _one(self, table: Table, name: str, named: Sequence[Tuple[Table, str]]) -> TablePlan:
        making = _Making(table, name, self._choices, self._as_text)
        making.columns()
        making.keys(named)
        there = self._there.table(name)
        target = making.target()
        mode = self._choices.mode
        if there is not None and mode in ("append", "merge"):
            fitted = fit(making.read, making.write, target, there)
            making.read, making.write = fitted.read, fitted.write
            making.questions.extend(fitted.questions)
        if mode == "merge" and not target.primary_key:
            message = "a table without a primary key cannot be merged into"
            raise Fault("SCHEMA_MISMATCH", message, path=table.name.encode("utf-8"))
        if mode == "merge" and there is not None:
            same_key(target, there)
        made = statements.make(target)
        return TablePlan(
            table,
            target,
            tuple(making.read),
            tuple(making.write),
            self._choices.filters.get(table.name, ""),
            tuple(making.questions),
            (*making.notes, *(("", left) for left in made.left)),
            tuple(making.renamed),
            there is not None,
            made,
        )


def named_columns(
    table: Table, choices: Choices
) -> Tuple[List[Tuple[str, str]], List[Tuple[str, str]]]:
    """The columns of a table that go, each with its name then, and the names that are others."""
    chosen = choices.columns.get(table.name)
    names = Namer()
    named: List[Tuple[str, str]] = []
    renamed: List[Tuple[str, str]] = []
    for column in table.columns:
        if chosen is not None and column.name not in chosen:
            continue
        wished = choices.rename.get("%s.%s" % (table.name, column.name))
        if wished is not None:
            renamed.append((column.name, wished))
        named.append((column.name, names.name(column.name if wished is None else wished)))
    return named, [*renamed, *names.renamed]


def _size(table: Table) -> int:
    return -1 if table.rows_estimate is None else table.rows_estimate


class _Making:
    """One table's plan on its way."""

    def __init__(
        self, table: Table, name: str, choices: Choices, as_text: FrozenSet[Tuple[str, str]]
    ) -> None:
        self._table = table
        self._name = name
        self._choices = choices
        self._as_text = as_text
        self._names: List[Tuple[str, str]] = []
        # Whether expressions still hold: they name columns, so every column goes, by its name and
        # as it is.
        self._words_hold = False
        self._columns: List[Column] = []
        self._key: Tuple[str, ...] = ()
        self._indexes: List[Index] = []
        self._foreign_keys: List[ForeignKey] = []
        self._checks: List[Tuple[str, str]] = []
        self.read: List[Cell] = []
        self.write: List[Cell] = []
        self.questions: List[Question] = []
        self.notes: List[Tuple[str, str]] = []
        self.renamed: List[Tuple[str, str]] = []
        if table.name != name:
            self.renamed.append((table.name, name))

    def target(self) -> Table:
        """The table as it will be."""
        return Table(
            self._name,
            tuple(self._columns),
            self._key,
            tuple(self._indexes),
            tuple(self._foreign_keys),
            tuple(self._checks),
            self._table.rows_estimate,
        )

    def columns(self) -> None:
        """Every column that is wanted, and as what it travels."""
        chosen = self._choices.columns.get(self._table.name)
        for missing in chosen or ():
            if self._table.column(missing) is None:
                message = "the table has no column %s" % missing
                raise Fault("SCHEMA_MISMATCH", message, path=self._table.name.encode("utf-8"))
        self._names, renamed = named_columns(self._table, self._choices)
        self.renamed.extend(renamed)
        made = dict(self._names)
        masks = [self._mask(name) for name in made]
        whole = len(made) == len(self._table.columns)
        self._words_hold = whole and not self.renamed and not any(masks)
        for column in self._table.columns:
            if column.name in made:
                self._column(column, made[column.name], self._mask(column.name))
            else:
                self.notes.append((column.name, "is left out: columns does not name it"))

    def _column(self, column: Column, name: str, mask: Optional[Mask]) -> None:
        as_text = mask is not None or (self._table.name, column.name) in self._as_text
        kind = kinds.TEXT if as_text else column.kind
        note = kinds.note_of(kind)
        if note:
            self.notes.append((column.name, note))
        declared = kinds.declared_as(kind)
        column = self._without_own_words(column, mask is not None)
        if mask is not None:
            self.notes.append((column.name, "is masked: %s" % mask.word))
            column = column._replace(default=None, counts=False, next=None)
        self._columns.append(column._replace(name=name, kind=kind, declared=declared))
        if column.generated is not None:
            return
        if kind.word == "char":
            # Text of a fixed length is padded by other engines alone.
            kind = kinds.Kind("text", kind.size)
        if kind != kinds.ANY:
            self.questions.append(Question(column.name, "not_declared", kind))
        self.read.append(Cell(column.name, kind, mask=mask))
        self.write.append(Cell(name, kind))

    def _without_own_words(self, column: Column, masked: bool) -> Column:
        """A column without what the engine's words say, where they do not hold."""
        if masked and column.default is not None and column.default.sort == "expression":
            text = "its default is not carried: %s" % column.default.text
            self.notes.append((column.name, text))
            column = column._replace(default=None)
        if column.generated is not None and not self._words_hold:
            text = "its values are copied, not made of %s" % column.generated[0]
            self.notes.append((column.name, text))
            column = column._replace(generated=None)
        return column

    def _mask(self, column: str) -> Optional[Mask]:
        return self._choices.masks.get("%s.%s" % (self._table.name, column))

    def keys(self, named: Sequence[Tuple[Table, str]]) -> None:
        """Keys, indexes and checks, as far as their columns are there."""
        key = self._made(self._table.primary_key)
        if key is not None:
            self._key = key
        else:
            text = "its primary key is not carried: a column of it is left out"
            self.notes.append(("", text))
        if not self._choices.indexes:
            return
        for index in self._table.indexes:
            self._index(index)
        for one in self._table.foreign_keys:
            made = self._foreign_key(one, named)
            if made is not None:
                self._foreign_keys.append(made)
            else:
                self.notes.append(("", "the foreign key %s is not carried" % one.name))
        for name, expression in self._table.checks:
            if self._words_hold:
                self._checks.append((name, expression))
            else:
                self.notes.append(("", "the check %s is not carried: %s" % (name, expression)))

    def _index(self, index: Index) -> None:
        if not self._words_hold:
            index = index._replace(definition="")
        named = [column for column in index.columns if column.name]
        names = self._made([column.name for column in named])
        if names is None:
            self.notes.append(("", "the index %s is not carried" % index.name))
            return
        made = dict(self._names)
        columns = (
            column._replace(name=made.get(column.name, column.name)) for column in index.columns
        )
        self._indexes.append(index._replace(columns=tuple(columns)))

    def _foreign_key(
        self, key: ForeignKey, named: Sequence[Tuple[Table, str]]
    ) -> Optional[ForeignKey]:
        own = self._made(key.columns)
        found = next((pair for pair in named if pair[0].name == key.to), None)
        if found is None or own is None:
            return None
        there = dict(named_columns(found[0], self._choices)[0])
        if any(column not in there for column in key.to_columns):
            return None
        to_columns = tuple(there[column] for column in key.to_columns)
        return key._replace(columns=own, to=found[1], to_columns=to_columns)

    def _made(self, columns: Sequence[str]) -> Optional[Tuple[str, ...]]:
        """What columns are called at the target; ``None`` where one is left out."""
        made = dict(self._names)
        if any(column not in made for column in columns):
            return None
        return tuple(made[column] for column in columns)
