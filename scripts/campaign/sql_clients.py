"""The databases of each engine: by psql, by mariadb, and by Python's sqlite3."""

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Iterator, List, Sequence

from campaign.databases import (
    CLIENT_S,
    MARK,
    Database,
    Line,
    await_none,
    client,
    parted,
    plain,
    quoted,
    server,
)
from campaign.table_data import Column, Value

MODE = "NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES"
PG_TYPES = {
    "int": "bigint", "text": "text", "name": "varchar(60)", "decimal": "numeric(12,2)",
    "float": "double precision", "moment": "timestamp(6)", "bytes": "bytea", "bool": "boolean",
}
MARIA_TYPES = {
    "int": "BIGINT", "text": "TEXT", "name": "VARCHAR(60)", "decimal": "DECIMAL(12,2)",
    "float": "DOUBLE", "moment": "DATETIME(6)", "bytes": "MEDIUMBLOB", "bool": "BOOLEAN",
}
LITE_TYPES = {
    "int": "INTEGER", "text": "TEXT", "name": "VARCHAR(60)", "decimal": "DECIMAL_TEXT(12,2)",
    "float": "REAL", "moment": "TIMESTAMP", "bytes": "BLOB", "bool": "BOOLEAN",
}


class Postgres(Database):
    """A database of PostgreSQL, by psql."""

    types = PG_TYPES

    def __init__(self, name: str) -> None:
        self.name, self.server = name, server("pg")

    def location(self, port: int) -> str:
        return f"postgres://{self.server.user}@127.0.0.1:{port}/{self.name}"

    def words(self, database: str = "") -> List[str]:
        """The command line of psql."""
        where = ["-h", self.server.host, "-p", str(self.server.port), "-U", self.server.user]
        return ["psql", "-X", "-q", "-A", "-t", *where, "-d", database or self.name]

    def client(self, database: str, text: str, *flags: str) -> str:
        """What psql answers."""
        return client([*self.words(database), "-v", "ON_ERROR_STOP=1", *flags], text)

    def make(self) -> None:
        self.client("postgres", f"CREATE DATABASE {self.name};")

    def copy_of(self, template: Database) -> None:
        assert isinstance(template, Postgres)
        self.client("postgres", f"CREATE DATABASE {self.name} TEMPLATE {template.name};")

    def drop(self) -> None:
        self.client("postgres", f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE);")

    def run(self, statements: Sequence[str]) -> str:
        return self.client(self.name, "".join(f"{text};\n" for text in statements), "-1")

    def answers(self, queries: Sequence[str]) -> List[List[Line]]:
        asked = [f"COPY ({query}) TO STDOUT;\n\\echo {MARK}\n" for query in queries]
        return parted(self.client(self.name, "".join(asked)), "\\N")

    def literal(self, column: Column, value: Value) -> str:
        if isinstance(value, bytes):
            return f"'\\x{value.hex()}'"
        return plain(column, value) or quoted(str(value))

    def shown(self, column: Column) -> str:
        if column.kind == "bytes":
            return f"encode({column.name}, 'hex')"
        return f"encode(convert_to({column.name}::text, 'UTF8'), 'hex')"

    def tables(self) -> List[str]:
        query = ("SELECT relname FROM pg_class WHERE relkind = 'r' "
                 "AND relnamespace = 'public'::regnamespace ORDER BY 1")
        return [str(name) for (name,) in self.lines(query)]

    def structure(self) -> List[str]:
        name = "(SELECT attname FROM pg_attribute WHERE attrelid = r AND attnum = k)"
        made = self.lines(
            f"SELECT t::text || ' ' || r::text || ' ' || string_agg({name}, ',' ORDER BY at) FROM "
            "(SELECT contype::text AS t, conrelid::regclass AS r, oid, k, at FROM pg_constraint, "
            "unnest(conkey) WITH ORDINALITY AS u(k, at) WHERE contype IN ('p', 'f') "
            "AND connamespace = 'public'::regnamespace) AS c "
            "GROUP BY t, r, oid UNION ALL "
            f"SELECT 'i ' || r::text || ' ' || {name} FROM (SELECT indrelid::regclass AS r, "
            "indkey[0] AS k FROM pg_index WHERE NOT indisprimary AND indrelid::regclass::text IN "
            "(SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace)) AS i"
        )
        return sorted(str(words) for (words,) in made if "mig_" not in str(words))

    def settle(self) -> None:
        query = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                 "AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
        await_none(lambda: self.lines(query))


class Maria(Database):
    """A database of MariaDB, by its client."""

    types = MARIA_TYPES
    tail = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

    def __init__(self, name: str) -> None:
        self.name, self.server = name, server("maria")

    def location(self, port: int) -> str:
        return f"mysql://{self.server.user}@127.0.0.1:{port}/{self.name}"

    def words(self, *more: str) -> List[str]:
        """The command line of the client."""
        where = ["-h", self.server.host, "-P", str(self.server.port), "-u", self.server.user]
        words = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-N", "-B", "-n"]
        return [*words, "--raw", "--force", *where, *(more or [self.name])]

    def client(self, text: str, *more: str) -> str:
        """What the client answers."""
        return client([*self.words(*more), "--skip-force"], f"SET sql_mode = '{MODE}';\n{text}")

    def make(self) -> None:
        self.client(f"CREATE DATABASE {self.name}{self.tail};", "mysql")

    def copy_of(self, template: Database) -> None:
        assert isinstance(template, Maria)
        self.make()
        tables = template.tables()
        made = ["SET foreign_key_checks = 0"]
        for name in tables:
            shown = template.client(f"SHOW CREATE TABLE {name};")
            definition = shown.partition("\t")[2]
            made += [definition, f"INSERT INTO {name} SELECT * FROM {template.name}.{name}"]
        self.run(made)

    def drop(self) -> None:
        self.client(f"DROP DATABASE IF EXISTS {self.name};", "mysql")

    def run(self, statements: Sequence[str]) -> str:
        text = "".join(f"{text};\n" for text in statements)
        return self.client(f"START TRANSACTION;\n{text}COMMIT;\n")

    def answers(self, queries: Sequence[str]) -> List[List[Line]]:
        asked = [f"{query};\nSELECT '{MARK}';\n" for query in queries]
        return parted(self.client("".join(asked)), "NULL")

    def literal(self, column: Column, value: Value) -> str:
        if isinstance(value, bytes):
            return f"X'{value.hex()}'"
        return plain(column, value) or f"_utf8mb4 X'{str(value).encode().hex()}'"

    def shown(self, column: Column) -> str:
        if column.kind == "bytes":
            return f"HEX({column.name})"
        return f"HEX(CONVERT({column.name} USING utf8mb4))"

    def tables(self) -> List[str]:
        query = ("SELECT table_name FROM information_schema.tables "
                 "WHERE table_schema = DATABASE() ORDER BY 1")
        return [str(name) for (name,) in self.lines(query)]

    def structure(self) -> List[str]:
        made = self.lines(
            "SELECT CONCAT(IF(constraint_name = 'PRIMARY', 'p ', 'f '), table_name, ' ', "
            "GROUP_CONCAT(column_name ORDER BY ordinal_position)) "
            "FROM information_schema.key_column_usage WHERE table_schema = DATABASE() AND "
            "(constraint_name = 'PRIMARY' OR referenced_table_name IS NOT NULL) "
            "GROUP BY table_name, constraint_name UNION ALL "
            "SELECT CONCAT('i ', table_name, ' ', column_name) FROM information_schema.statistics "
            "WHERE table_schema = DATABASE() AND seq_in_index = 1 AND index_name <> 'PRIMARY'"
        )
        return sorted(str(words) for (words,) in made if "mig_" not in str(words))

    def settle(self) -> None:
        query = ("SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() "
                 "AND id <> CONNECTION_ID()")
        await_none(lambda: self.lines(query))


class Lite(Database):
    """A file of SQLite, by Python's own module."""

    types = LITE_TYPES

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """A session."""
        session = sqlite3.connect(self.path, timeout=CLIENT_S, isolation_level=None)
        session.create_function("concat", -1, lambda *parts: "".join(map(str, parts)))
        with contextlib.closing(session):
            yield session

    def location(self, port: int) -> str:
        return f"sqlite://{self.path}"

    def make(self) -> None:
        with self.open() as session:
            session.execute("VACUUM")

    def copy_of(self, template: Database) -> None:
        assert isinstance(template, Lite)
        shutil.copyfile(template.path, self.path)

    def drop(self) -> None:
        for path in self.path.parent.glob(self.path.name + "*"):
            path.unlink()

    def run(self, statements: Sequence[str]) -> str:
        with self.open() as session:
            session.execute("BEGIN IMMEDIATE")
            for text in statements:
                session.execute(text)
            session.execute("COMMIT")
        return ""

    def answers(self, queries: Sequence[str]) -> List[List[Line]]:
        with self.open() as session:
            return [[tuple(row) for row in session.execute(query)] for query in queries]

    def literal(self, column: Column, value: Value) -> str:
        if isinstance(value, bytes):
            return f"X'{value.hex()}'"
        return plain(column, value) or quoted(str(value))

    def shown(self, column: Column) -> str:
        name = column.name
        text = {
            # The text that it makes of a double is of 15 digits.
            "float": f"hex(printf('%!.17g', {name}))", "bytes": f"hex({name})",
        }.get(column.kind, f"hex(CAST({name} AS TEXT))")
        return f"CASE WHEN {name} IS NOT NULL THEN {text} END"

    def tables(self) -> List[str]:
        query = ("SELECT name FROM sqlite_schema WHERE type = 'table' "
                 "AND name NOT LIKE 'sqlite_%' ORDER BY 1")
        return [str(name) for (name,) in self.lines(query)]

    def structure(self) -> List[str]:
        made = []
        with self.open() as session:
            for name in self.tables():
                info = session.execute(f"SELECT name, pk FROM pragma_table_info('{name}')")
                key = [column for column, at in sorted(info, key=lambda row: row[1]) if at]
                made += [f"p {name} {','.join(key)}"] if key else []
                made += [f"f {name} {own}" for (own,) in session.execute(
                    f"SELECT \"from\" FROM pragma_foreign_key_list('{name}')")]
                made += [f"i {name} {column}" for (column,) in session.execute(
                    f"SELECT x.name FROM pragma_index_list('{name}') AS i, "
                    "pragma_index_info(i.name) AS x WHERE i.origin <> 'pk' AND x.seqno = 0")]
        return sorted(words for words in made if "mig_" not in words)
