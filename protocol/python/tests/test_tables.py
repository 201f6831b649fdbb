"""Tables of SQLite to SQLite: what is copied, refused, counted, proven and taken up again."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from migration_engine import Engine

from . import shops
from .backends import Host, Line, argv_of, environment
from .normal import normal

BACKENDS = ("native", "python")
MakeHost = Callable[..., Host]


def tables(**fields: Any) -> Line:
    return {"op": "tables", "id": "t", "src": "sqlite://a.db", "dst": "sqlite://b.db", **fields}


def ask(host: Host, command: Line) -> Line:
    host.send(command)
    return host.result(command["id"])


def once(backend: str, directory: Path, command: Line) -> Line:
    """One command by a process of its own."""
    host = Host(argv_of(backend), cwd=directory, env=environment(directory / ("state-" + backend)))
    result = ask(host, command)
    host.finish()
    return result


def by_table(result: Line) -> Dict[str, Dict[str, Any]]:
    return {table["table"]: table for table in result["data"]["tables"]}


def code(result: Line) -> str:
    assert result["status"] == "failed", result
    return str(result["error"]["code"])


def numbers(path: Path, rows: int = 40, width: int = 1) -> None:
    """A table of whole numbers and texts, with a check that is not looked at as rows come in."""
    inserts = ("INSERT INTO n VALUES (%d, '%s%d')" % (at, "v" * width, at) for at in range(rows))
    made = "CREATE TABLE n (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'))"
    shops.run(path, made, *inserts)


def test_a_database_is_copied_whole_and_read_back(make_host: MakeHost, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db")
    before = (tmp_path / "a.db").read_bytes()
    host = make_host()
    result = ask(host, tables(verify="readback", span_rows=60))
    assert result["status"] == "ok", result
    data = result["data"]
    assert (data["mode"], data["tables_total"], data["rejected"]) == ("create", 7, 0)
    assert (
        data["rows"]
        == result["metrics"]["rows"]
        == sum(
            shops.count(tmp_path / "a.db", '"%s"' % name.replace('"', '""'))
            for name in shops.tables(tmp_path / "a.db")
        )
    )
    assert {table["proof"] for table in data["tables"]} == {"readback"}
    assert by_table(result)["customer"]["spans"] == 4
    assert result["verify"]["level"] == "readback"
    assert ask(host, {**tables(), "op": "verify", "id": "v"})["status"] == "ok"
    assert shops.tables(tmp_path / "b.db") == shops.tables(tmp_path / "a.db")
    source, target = shops.content(tmp_path / "a.db"), shops.content(tmp_path / "b.db")
    for name in ("settings", "strict_one", "made", "hollow"):
        assert source[name] == target[name]
    exact = "SELECT id, name, photo, note, born, active FROM customer ORDER BY id"
    assert shops.run(tmp_path / "a.db", exact) == shops.run(tmp_path / "b.db", exact)
    assert not shops.run(tmp_path / "b.db", "PRAGMA foreign_key_check")
    assert shops.run(tmp_path / "b.db", "PRAGMA integrity_check") == [("ok",)]
    assert (tmp_path / "a.db").read_bytes() == before
    made = {name for _, name, _ in shops.schema(tmp_path / "b.db")}
    assert {"by_name", "rich", "lower_name"} <= made
    # The sequence goes on behind the greatest there ever was.
    last = "SELECT seq FROM sqlite_sequence WHERE name = 'order \"x\"'"
    assert shops.run(tmp_path / "a.db", last) == shops.run(tmp_path / "b.db", last)


def test_modes(make_host: MakeHost, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 5)
    host = make_host()
    assert ask(host, tables(id=1))["status"] == "ok"
    assert code(ask(host, tables(id=2))) == "DST_EXISTS"
    assert shops.tables(tmp_path / "b.db") == ["n"]
    refused = ask(host, tables(id=3, mode="append"))
    assert code(refused) == "ROW_REFUSED" and "id=0" in refused["error"]["message"]
    shops.run(tmp_path / "b.db", "UPDATE n SET v = 'old'", "INSERT INTO n VALUES (99, 'own')")
    assert ask(host, tables(id=4, mode="merge"))["status"] == "ok"
    assert shops.count(tmp_path / "b.db", "n") == 6
    assert shops.count(tmp_path / "b.db", "n", "v = 'old'") == 0
    shops.run(tmp_path / "b.db", "DELETE FROM n WHERE id < 5")
    assert ask(host, tables(id=5, mode="append"))["status"] == "ok"
    assert shops.count(tmp_path / "b.db", "n") == 6
    assert ask(host, tables(id=6, mode="replace"))["status"] == "ok"
    assert shops.content(tmp_path / "b.db") == shops.content(tmp_path / "a.db")
    shops.run(tmp_path / "b.db", "DROP TABLE n", "CREATE TABLE n (id INT)")
    assert code(ask(host, tables(id=7, mode="append"))) == "SCHEMA_MISMATCH"


def test_what_is_chosen(make_host: MakeHost, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 30)
    host = make_host()
    result = ask(
        host,
        tables(
            include=["customer", "s*"],
            exclude=["strict*"],
            columns={"customer": ["id", "name"]},
            where={"customer": "id > 0 -- positive"},
            rename={"settings": "kept", "customer.name": "full name"},
            mask={"customer.name": "hash"},
        ),
    )
    assert result["status"] == "ok", result
    assert shops.tables(tmp_path / "b.db") == ["customer", "kept"]
    rows = shops.run(tmp_path / "b.db", 'SELECT id, "full name" FROM customer ORDER BY id')
    assert len(rows) == shops.count(tmp_path / "a.db", "customer", "id > 0") > 0
    assert all(row[0] > 0 and len(row[1]) == 64 for row in rows)
    notes = {(note["table"], note.get("column")) for note in result["data"]["notes"]}
    assert {("customer", "photo"), ("customer", "name"), ("names", None)} <= notes
    unknown: List[Line] = [
        {"include": ["none"]},
        {"where": {"x": "1"}},
        {"mask": {"customer.x": "hash"}},
    ]
    for at, fields in enumerate(unknown):
        assert code(ask(host, tables(id=at, mode="replace", **fields))) == "TABLE_NOT_FOUND"
    missing = tables(id="m", mode="replace", columns={"customer": ["x"]})
    assert code(ask(host, missing)) == "SCHEMA_MISMATCH"
    wrong = ask(host, tables(id="w", mode="replace", where={"customer": "no such words"}))
    assert code(wrong) == "DATABASE_REFUSED"


def test_losses_are_counted_before_anything_is_written(make_host: MakeHost, tmp_path: Path) -> None:
    shops.run(
        tmp_path / "a.db",
        "CREATE TABLE l (id INTEGER PRIMARY KEY, n INT2, d DATE, t VARCHAR(3))",
        "INSERT INTO l VALUES (1, 5, '2024-02-29', 'abc')",
        "INSERT INTO l VALUES (2, 70000, '2023-02-29', 'abcdef')",
        "INSERT INTO l VALUES (3, 'x', '0000-00-00', CAST(x'ff' AS TEXT))",
    )
    host = make_host()
    failed = ask(host, tables(id="f"))
    assert code(failed) == "CENSUS_LOSS"
    assert failed["error"]["at"] == {"path": "l", "field": "n"}
    assert not (tmp_path / "b.db").exists() or shops.tables(tmp_path / "b.db") == []
    losses = ask(host, {"op": "plan", "id": "p", "command": drop_id(tables())})["data"]["losses"]
    assert [(one["column"], one["class"], one["rows"], one["keys"]) for one in losses] == [
        ("n", "not_declared", 2, ["2", "3"]),
        ("d", "not_declared", 2, ["2", "3"]),
        ("t", "not_declared", 2, ["2", "3"]),
    ]
    nulls = ask(host, tables(id="n", policy={"default": "null"}, verify="readback"))
    assert nulls["data"]["tables"][0]["changed"] == 6
    rows = "SELECT n, d, t FROM l ORDER BY id"
    assert shops.run(tmp_path / "b.db", rows)[1:] == [(None, None, None)] * 2
    out = tmp_path / "rejected.jsonl"
    rejects = {"limit": 2, "file": str(out)}
    kept = ask(
        host, tables(id="r", mode="replace", policy={"not_declared": "reject"}, rejects=rejects)
    )
    assert (kept["data"]["rows"], kept["data"]["rejected"]) == (1, 2)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["key"] for line in lines] == [{"id": "2"}, {"id": "3"}]
    assert lines[1]["row"]["t"] == {"b64": "/w=="} and lines[1]["column"] == "n"
    clamp = ask(host, tables(id="c", mode="replace", policy={"default": "clamp"}))
    assert code(clamp) == "VALUE_REFUSED"
    shops.run(tmp_path / "a.db", "DELETE FROM l WHERE id = 3", "UPDATE l SET d = NULL")
    assert ask(host, tables(id="d", mode="replace", policy={"default": "clamp"}))["status"] == "ok"
    assert shops.run(tmp_path / "b.db", rows)[1] == (32767, None, "abc")


def drop_id(command: Line) -> Line:
    return {name: value for name, value in command.items() if name != "id"}


def test_rows_that_the_target_refuses(make_host: MakeHost, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 100)
    shops.run(tmp_path / "a.db", "UPDATE n SET v = 'bad' WHERE id IN (3, 40, 41, 99)")
    host = make_host()
    refused = ask(host, tables(id="f"))
    assert code(refused) == "ROW_REFUSED" and "id=3" in refused["error"]["message"]
    out = tmp_path / "rejected.jsonl"
    more = tables(id="m", mode="replace", rejects={"limit": 3, "file": str(out)})
    assert code(ask(host, more)) == "REJECT_LIMIT"
    taken = ask(
        host,
        tables(
            id="t",
            mode="replace",
            span_rows=30,
            batch_rows=16,
            verify="readback",
            rejects={"limit": 4, "file": "told.jsonl"},
        ),
    )
    assert taken["status"] == "ok", taken
    table = taken["data"]["tables"][0]
    assert (table["rows"], table["rejected"], table["proof"]) == (96, 4, "readback")
    assert taken["metrics"]["rows_rejected"] == 4
    assert taken["data"]["rejects"] == {"path": "told.jsonl"}
    lines = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert sorted(int(line["key"]["id"]) for line in lines) == [3, 40, 41, 99]
    assert all(line["row"]["v"] == "bad" and "CHECK" in line["cause"] for line in lines)
    assert (tmp_path / "told.jsonl").stat().st_mode & 0o777 == 0o600
    assert shops.count(tmp_path / "b.db", "n") == 96
    assert shops.tables(tmp_path / "b.db") == ["n"]


def test_rules_of_a_table_that_stands_drop_no_row(make_host: MakeHost, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", rows=3)
    rule = "CREATE TABLE n (id INTEGER PRIMARY KEY ON CONFLICT %s, v TEXT)"
    ignore = "CREATE TRIGGER g BEFORE INSERT ON n WHEN new.id = 1 BEGIN SELECT raise(IGNORE); END"
    host = make_host()
    for at, made in enumerate((rule % "IGNORE", rule % "REPLACE", rule % "ABORT")):
        other = "INSERT INTO n VALUES (1, 'old')" if at < 2 else ignore
        shops.run(tmp_path / ("%d.db" % at), made, other)
        command = tables(id=at, mode="append", dst="sqlite://%d.db" % at)
        assert code(ask(host, command)) == "ROW_REFUSED", made
        command = {**command, "id": "r%d" % at, "rejects": {"limit": 1, "file": "r%d" % at}}
        assert ask(host, command)["data"]["rejected"] == 1, made
        with sqlite3.connect(tmp_path / ("%d.db" % at)) as base:
            kept = base.execute("SELECT id, v FROM n ORDER BY id").fetchall()
        assert kept == [(0, "v0"), *([(1, "old")] if at < 2 else []), (2, "v2")], made


def test_no_orphans_get_in(make_host: MakeHost, tmp_path: Path) -> None:
    children = "CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER%s)"
    shops.run(tmp_path / "a.db", children % "", "INSERT INTO child VALUES (1, 7), (2, 8)")
    shops.run(
        tmp_path / "b.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "INSERT INTO parent VALUES (7)",
        children % " REFERENCES parent (id)",
    )
    host = make_host()
    assert code(ask(host, tables(mode="append"))) == "ROW_REFUSED"
    rejects = {"limit": 1, "file": "rejects"}
    assert ask(host, tables(id="r", mode="merge", rejects=rejects))["data"]["rejected"] == 1
    with sqlite3.connect(tmp_path / "b.db") as base:
        assert base.execute("SELECT id, p FROM child").fetchall() == [(1, 7)]


def test_a_plan_makes_nothing(make_host: MakeHost, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 20)
    planned = ask(make_host(), {"op": "plan", "id": "p", "command": drop_id(tables())})
    data = planned["data"]
    assert (data["op"], data["mode"], data["items"], data["losses"]) == ("tables", "create", 7, [])
    kinds = {column[0]: column[1:] for t in data["tables"] for column in t["columns"]}
    assert kinds["balance"] == ["DECIMAL(12,2)", "decimal(12,2)", "DECIMAL_TEXT(12,2)"]
    assert any(text.startswith("CREATE INDEX") for text in data["statements"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in names if not name.startswith("state")] == ["a.db"]


def test_databases_are_compared(make_host: MakeHost, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 50)
    host = make_host()
    assert ask(host, tables())["status"] == "ok"
    verify = {**tables(), "op": "verify"}
    assert ask(host, {**verify, "id": "same"})["data"]["matched"] == 7
    shops.run(
        tmp_path / "b.db",
        "UPDATE customer SET balance = '1.00', note = 'z' WHERE id = 6",
        "DELETE FROM customer WHERE id = 20",
        "INSERT INTO customer (id, name) VALUES (21, 'new')",
        "DROP TABLE hollow",
        "DELETE FROM settings WHERE name = 'k0'",
    )
    found = ask(host, {**verify, "id": "differ"})
    assert code(found) == "VERIFY_MISMATCH"
    data = found["data"]
    assert (data["matched"], data["mismatched"], data["missing"]) == (4, 2, 1)
    told = {table["table"]: table for table in data["tables"]}
    assert told["hollow"] == {"table": "hollow", "same": False, "missing": True}
    assert told["customer"]["differences"] == [
        {"key": "20", "what": "missing", "columns": []},
        {"key": "21", "what": "extra", "columns": []},
        {"key": "6", "what": "changed", "columns": ["balance", "note"]},
    ]
    counted = ask(host, {**verify, "id": "count", "level": "size", "include": ["customer"]})
    assert counted["status"] == "ok" and counted["data"]["level"] == "count"
    gone = ask(host, {**verify, "id": "gone", "dst": "sqlite://none.db"})
    assert code(gone) == "DATABASE_NOT_FOUND" and not (tmp_path / "none.db").exists()
    mixed = ask(host, {"op": "verify", "id": "mixed", "src": "sqlite://a.db", "dst": "b.db"})
    assert code(mixed) == "UNSUPPORTED" and mixed["error"]["at"] == {"field": "dst"}


def test_a_database_is_looked_at(make_host: MakeHost, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 20)
    data = ask(make_host(), {"op": "inspect", "id": "i", "src": "sqlite://a.db"})["data"]
    assert (data["kind"], data["engine"], data["tables_total"]) == ("database", "sqlite", 7)
    assert data["others"] == {"trigger": 1, "view": 1}
    customer = next(table for table in data["tables"] if table["table"] == "customer")
    assert customer["primary_key"] == ["id"] and customer["checks"] == ["customer_check1"]
    assert customer["indexes"] == ["customer_name_key", "by_name", "rich", "lower_name"]
    made = next(table for table in data["tables"] if table["table"] == "made")
    assert made["columns"][1] == {"name": "twice", "type": "INT", "generated": "a * 2"}


@pytest.mark.parametrize("second", BACKENDS)
def test_what_one_backend_began_the_other_ends(backend: str, second: str, tmp_path: Path) -> None:
    """A row fails in the third span; what two spans hold stays, unless its rows changed."""
    numbers(tmp_path / "a.db")
    shops.run(tmp_path / "a.db", "UPDATE n SET v = 'bad' WHERE id = 25")
    command = tables(key="again", span_rows=10, parallel_spans=1, verify="readback")
    assert code(once(backend, tmp_path, command)) == "ROW_REFUSED"
    assert shops.count(tmp_path / "b.db", "n") == 20
    assert shops.count(tmp_path / "b.db", "mig_ledger_spans") == 6
    shops.run(
        tmp_path / "a.db",
        "UPDATE n SET v = 'good' WHERE id = 25",
        "UPDATE n SET v = 'changed' WHERE id = 12",
        "INSERT INTO n VALUES (1000, 'late'), (-5, 'early')",
    )
    result = once(second, tmp_path, command)
    assert result["status"] == "ok", result
    table = result["data"]["tables"][0]
    assert (table["spans"], table["spans_kept"], table["spans_redone"]) == (4, 0, 2)
    assert (table["rows"], table["proof"]) == (42, "readback")
    assert result["warnings_total"] == 1
    assert shops.content(tmp_path / "b.db") == shops.content(tmp_path / "a.db")


def test_what_did_not_change_is_kept(backend: str, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 40)
    shops.run(
        tmp_path / "a.db", "UPDATE customer SET note = printf('%.*c', 2000, 'x') WHERE id = 6"
    )
    command = tables(key="again", span_rows=10, parallel_spans=1, exclude=["order*"])
    assert code(once(backend, tmp_path, command)) == "ROW_REFUSED"
    shops.run(tmp_path / "a.db", "UPDATE customer SET note = NULL WHERE id = 6")
    result = once(backend, tmp_path, command)
    assert result["status"] == "ok" and not result.get("warnings_total")
    assert sum(table["spans_redone"] for table in result["data"]["tables"]) == 0
    assert {"mig_ledger_jobs", "mig_ledger_spans"}.isdisjoint(shops.tables(tmp_path / "b.db"))
    again = once(backend, tmp_path, command)
    assert again["replayed"] is True and again["data"] == result["data"]


@pytest.mark.parametrize("second", BACKENDS)
def test_a_killed_copy_goes_on(backend: str, second: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 300, 200)
    host = Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "killed"))
    slow = {"limits": {"bytes_per_s": 5000}}
    host.send(tables(key="k", span_rows=20, parallel_spans=1, **slow))
    host.wait_for(lambda line: line["type"] == "checkpoint")
    host.kill()
    rows = shops.count(tmp_path / "b.db", "n")
    assert 0 < rows < 300 and rows % 20 == 0
    # The ledger goes by key, source and target, and not by what else the command says.
    result = once(second, tmp_path, tables(key="k", verify="readback"))
    assert result["status"] == "ok", result
    table = result["data"]["tables"][0]
    assert (table["spans"], table["spans_kept"], table["spans_redone"]) == (15, rows // 20, 0)
    assert shops.content(tmp_path / "b.db") == shops.content(tmp_path / "a.db")


def test_rows_added_to_others_cannot_be_taken_back(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db")
    shops.run(tmp_path / "a.db", "UPDATE n SET v = 'bad' WHERE id = 25")
    numbers(tmp_path / "b.db", 0)
    command = tables(key="again", span_rows=10, parallel_spans=1, mode="append")
    assert code(once(backend, tmp_path, command)) == "ROW_REFUSED"
    shops.run(tmp_path / "a.db", "UPDATE n SET v = 'other' WHERE id IN (1, 25)")
    assert code(once(backend, tmp_path, command)) == "RESUME_REFUSED"


def test_a_ledger_of_another_version_is_refused(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db")
    shops.run(tmp_path / "a.db", "UPDATE n SET v = 'bad' WHERE id = 25")
    command = tables(key="again", span_rows=10)
    assert code(once(backend, tmp_path, command)) == "ROW_REFUSED"
    shops.run(tmp_path / "b.db", "UPDATE mig_ledger_spans SET about = '{\"v\":2}'")
    refused = once(backend, tmp_path, command)
    assert code(refused) == "JOURNAL_CORRUPT" and "mig_ledger_spans" in refused["error"]["hint"]


def test_an_attempt_that_was_taken_over_commits_nothing(
    make_host: MakeHost, tmp_path: Path
) -> None:
    """Another attempt raises the number while the third span is written."""
    numbers(tmp_path / "a.db")
    numbers(tmp_path / "b.db", 0)
    raised = "BEGIN UPDATE mig_ledger_jobs SET epoch = epoch + 1; END"
    shops.run(tmp_path / "b.db", "CREATE TRIGGER t AFTER INSERT ON n WHEN new.id = 25 " + raised)
    command = tables(mode="append", span_rows=10, parallel_spans=1)
    assert code(ask(make_host(), command)) == "LEASE_LOST"
    assert shops.count(tmp_path / "b.db", "n") == 20


def test_a_cancelled_copy_leaves_no_ledger(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 300, 200)
    host = Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "state"))
    host.send(tables(span_rows=20, parallel_spans=1, limits={"bytes_per_s": 5000}))
    host.state("t", "running")
    ask(host, {"op": "cancel", "id": "c", "target": "t"})
    assert host.result("t")["status"] == "cancelled"
    host.finish()
    assert not (tmp_path / "b.db").exists() or "mig_ledger_jobs" not in shops.tables(
        tmp_path / "b.db"
    )


@pytest.mark.parametrize(
    ("fields", "wanted", "field"),
    [
        ({"src": "a.db"}, "UNSUPPORTED", "src"),
        ({"dst": "s3://bucket/x"}, "UNSUPPORTED", "dst"),
        ({"dst": "sqlite://u@host/x"}, "INVALID_FIELD", "dst"),
        ({"src": {"url": "sqlite://a.db", "region": "x"}}, "INVALID_FIELD", "src"),
        ({"src": {"url": "sqlite://a.db", "auth": {"user": {"env": "U"}}}}, "INVALID_FIELD", "src"),
        ({"src": "sqlite://a.db?mode=rw"}, "INVALID_FIELD", "src"),
        ({"src": "sqlite://none.db"}, "DATABASE_NOT_FOUND", "src"),
        ({"src": "sqlite://text"}, "DATABASE_NOT_FOUND", "src"),
        ({"dst": "sqlite://a.db"}, "OVERLAP", None),
        ({"mode": "upsert"}, "INVALID_FIELD", None),
        ({"policy": {"lost": "null"}}, "INVALID_FIELD", "policy.lost"),
        ({"batch_rows": 0}, "INVALID_FIELD", "batch_rows"),
        ({"parallel_spans": 65}, "INVALID_FIELD", "parallel_spans"),
        ({"snapshot": "weak"}, "UNKNOWN_FIELD", "snapshot"),
    ],
)
def test_what_is_refused(
    fields: Dict[str, Any], wanted: str, field: Any, make_host: MakeHost, tmp_path: Path
) -> None:
    numbers(tmp_path / "a.db", 1)
    (tmp_path / "text").write_text("no database " * 100)
    result = ask(make_host(), tables(**fields))
    assert code(result) == wanted
    if field is not None:
        assert result["error"]["at"]["field"] == field
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "mysql", "mariadb"])
def test_other_databases_need_the_binary(scheme: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 1)
    host = Host(argv_of("python"), cwd=tmp_path, env=environment(tmp_path / "state"))
    for at, op in enumerate(("tables", "verify")):
        refused = ask(host, {**tables(dst=scheme + "://u@host/shop"), "op": op, "id": at})
        assert code(refused) == "UNSUPPORTED" and refused["error"]["at"] == {"field": "dst"}
        assert "binary" in refused["error"]["hint"] and scheme in refused["error"]["message"]
    secret = ask(host, tables(id="s", dst=scheme + "://u:secret@host/shop"))
    assert code(secret) == "INVALID_FIELD" and "secret" not in json.dumps(secret)
    host.finish()


def test_from_python(engine: Engine, tmp_path: Path) -> None:
    shops.make(tmp_path / "a.db", 30)
    done = engine.tables("sqlite://a.db", "sqlite://b.db", verify="readback").result()
    assert done.data.tables_total == 7 and done.metrics.rows == done.data.rows
    assert engine.verify("sqlite://a.db", "sqlite://b.db").result().data.matched == 7


COMMANDS: List[Line] = [
    {"op": "inspect", "id": "look", "src": "sqlite://a.db"},
    {"op": "plan", "id": "plan", "command": drop_id(tables())},
    {"op": "plan", "id": "plan verify", "command": {**drop_id(tables()), "op": "verify"}},
    tables(id="copy", verify="readback", span_rows=50, parallel_spans=1),
    tables(id="again"),
    {"op": "plan", "id": "plan append", "command": drop_id(tables(mode="append"))},
    tables(id="merge", mode="merge", exclude=["loose", "hollow"]),
    tables(id="refused", mode="append", include=["customer"]),
    {**tables(id="verify"), "op": "verify"},
    tables(id="text", mode="replace", mask={"customer.name": {"constant": "x"}}, indexes=False),
    {**tables(id="differ"), "op": "verify"},
    tables(id="kept", mode="replace", key="k", columns={"customer": ["name", "born"]}),
    {"op": "inspect", "id": "look there", "src": "sqlite://b.db"},
]


def test_both_backends_agree(tmp_path: Path) -> None:
    """In every answer, every digest, and every byte that another program reads of the target."""
    answers, found = {}, {}
    for one in BACKENDS:
        directory = tmp_path / one
        directory.mkdir()
        shops.make(directory / "a.db", 150)
        host = Host(argv_of(one), cwd=directory, env=environment(directory / "state"))
        for command in COMMANDS:
            ask(host, command)
            if command["id"] == "copy":
                found[one] = shops.content(directory / "b.db"), shops.schema(directory / "b.db")
        host.finish()
        drop = ["metrics.bytes", "verify.bytes", "metrics.requests"]
        answers[one] = normal(host.lines, str(directory), {"drop": drop})
        found[one + " at the end"] = (
            shops.content(directory / "b.db"),
            shops.schema(directory / "b.db"),
        )
    for native, python in zip(answers["native"], answers["python"]):
        assert python == native
    assert len(answers["native"]) == len(answers["python"])
    assert found["native"] == found["python"]
    assert found["native at the end"] == found["python at the end"]


def test_a_source_that_is_written_meanwhile_is_one_instant(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 200, 200)
    shops.run(tmp_path / "a.db", "PRAGMA journal_mode = WAL")
    other = sqlite3.connect(tmp_path / "a.db")
    host = Host(argv_of(backend), cwd=tmp_path, env=environment(tmp_path / "state"))
    host.send(tables(span_rows=20, parallel_spans=1, key="k", limits={"bytes_per_s": 5000}))
    host.wait_for(lambda line: line["type"] == "checkpoint")
    with other:
        other.execute("UPDATE n SET v = 'late'")
    ask(host, {"op": "limits", "id": "l", "bytes_per_s": None, "target": "t"})
    assert host.result("t")["status"] == "ok"
    host.finish()
    other.close()
    assert shops.count(tmp_path / "b.db", "n", "v = 'late'") == 0


@pytest.mark.parametrize("second", BACKENDS)
def test_a_refused_row_that_changed_is_noticed(backend: str, second: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 60)
    shops.run(
        tmp_path / "a.db",
        "UPDATE n SET v = 'bad' WHERE id IN (3, 45)",
        "CREATE TABLE z (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'))",
        "INSERT INTO z VALUES (1, 'bad'), (2, 'bad')",
    )
    rejects = {"limit": 3, "file": str(tmp_path / "out")}
    command = tables(key="k", span_rows=20, parallel_spans=1, rejects=rejects)
    assert code(once(backend, tmp_path, command)) == "REJECT_LIMIT"
    with sqlite3.connect(tmp_path / "a.db") as base:
        base.execute("PRAGMA ignore_check_constraints = ON")
        base.execute("UPDATE n SET id = 1000 WHERE id = 45")
        base.execute("UPDATE n SET id = 45 WHERE id = 44")
        base.execute("UPDATE n SET id = 44 WHERE id = 1000")
        base.execute("UPDATE z SET v = 'good'")
    base.close()
    result = once(second, tmp_path, command)
    assert result["status"] == "ok", result
    table = by_table(result)["n"]
    counts = [table[name] for name in ("spans", "spans_redone", "rows", "rejected")]
    assert counts == [3, 1, 58, 2], table
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    told = [(line["table"], line["span"], line["key"]["id"]) for line in lines]
    assert told == [("n", 0, "3"), ("n", 2, "44")]
    kept = "SELECT count(*), sum(id) FROM n"
    assert shops.run(tmp_path / "b.db", kept) == [(58, sum(range(60)) - 3 - 44)]


def test_a_ledger_of_an_older_version_is_refused(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 60)
    check = "CREATE TABLE z (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'))"
    shops.run(tmp_path / "a.db", check, "INSERT INTO z VALUES (1, 'bad')")
    command = tables(key="k", span_rows=20)
    assert code(once(backend, tmp_path, command)) == "ROW_REFUSED"
    older = "UPDATE mig_ledger_spans SET about = json_remove(about, '$.refused', '$.native')"
    shops.run(tmp_path / "b.db", older)
    refused = once(backend, tmp_path, command)
    assert code(refused) == "JOURNAL_CORRUPT"
    assert "another version" in refused["error"]["hint"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_come_no_faster_than_they_may(backend: str, tmp_path: Path) -> None:
    numbers(tmp_path / "a.db", 60)
    began = time.monotonic()
    result = once(backend, tmp_path, tables(limits={"rows_per_s": 40}))
    assert result["status"] == "ok", result
    assert time.monotonic() - began > 0.9
    assert shops.count(tmp_path / "b.db", "n") == 60


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_another_program_holds_is_not_waited_for_for_ever(
    backend: str, tmp_path: Path
) -> None:
    numbers(tmp_path / "a.db")
    numbers(tmp_path / "b.db")
    holder = sqlite3.connect(str(tmp_path / "b.db"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    command = tables(mode="replace", lock_timeout_s=1)
    assert code(once(backend, tmp_path, command)) == "LOCKED"
    holder.execute("ROLLBACK")
    holder.close()
    assert once(backend, tmp_path, command)["status"] == "ok"


def test_casts_need_the_binary(tmp_path: Path) -> None:
    numbers(tmp_path / "a.db")
    result = once("python", tmp_path, tables(cast={"n.v": "text"}))
    assert (code(result), result["error"]["at"]["field"]) == ("UNSUPPORTED", "cast")
    assert once("native", tmp_path, tables(cast={"n.v": "text(9)"}))["status"] == "ok"


def test_what_is_not_carried_is_named_alike(tmp_path: Path) -> None:
    numbers(tmp_path / "a.db")
    shops.run(
        tmp_path / "a.db",
        "CREATE TABLE c (v TEXT COLLATE nocase, w TEXT COLLATE BINARY)",
        "CREATE VIEW every AS SELECT * FROM n",
        "CREATE TRIGGER t AFTER INSERT ON n BEGIN SELECT 1; END",
    )
    inner = {name: value for name, value in tables().items() if name != "id"}
    command = {"op": "plan", "id": "p", "command": inner}
    told = [once(backend, tmp_path, command)["data"] for backend in BACKENDS]
    assert told[0]["not_carried"] == told[1]["not_carried"]
    assert told[0]["not_carried"] == {"collation": 1, "trigger": 1, "view": 1}
    assert told[0]["notes"] == told[1]["notes"]
    assert any("a view is not carried" in note["note"] for note in told[0]["notes"])
