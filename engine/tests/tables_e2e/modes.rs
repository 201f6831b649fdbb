//! How rows meet a table that is there, what is chosen of a table, rejects, resume, replay.

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs};
use crate::session::{Place, Session};
use crate::{copied, refused, run, tables};

/// People: the source of most tests.
const PEOPLE: &str = "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, \
    city VARCHAR(40), age INTEGER);\n\
    INSERT INTO people VALUES (1, 'Ada', 'London', 36), (2, 'Bo', NULL, 20), (3, 'Cy', 'Rome', 7);";

const ROWS: &str = "SELECT id, name, city, age FROM people ORDER BY id";

fn rows(list: &[[&str; 4]]) -> Vec<Vec<String>> {
    list.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
}

fn all() -> Vec<Vec<String>> {
    rows(&[["1", "Ada", "London", "36"], ["2", "Bo", "NULL", "20"], ["3", "Cy", "Rome", "7"]])
}

#[test]
fn create_leaves_alone_what_stands() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, PEOPLE);
        let target =
            Db::with(to, &place, "CREATE TABLE people (id INTEGER); INSERT INTO people VALUES (9)");
        let result = refused(&place, &source, &target, &json!({}), "DST_EXISTS", 4);
        assert!(result["error"]["hint"].as_str().unwrap().contains("append"), "{result}");
        assert_eq!(target.query("SELECT * FROM people"), [["9"]]);
    }
}

#[test]
fn replace_drops_what_stands_and_another_table_stays() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, PEOPLE);
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE people (old INTEGER); CREATE TABLE other (id INTEGER);\n\
             INSERT INTO people VALUES (9); INSERT INTO other VALUES (1);",
        );
        for _ in 0..2 {
            copied(&place, &source, &target, &json!({"mode": "replace", "verify": "readback"}));
            assert_eq!(target.query(ROWS), all(), "{source} to {target}");
        }
        assert_eq!(target.query("SELECT * FROM other"), [["1"]]);
    }
}

#[test]
fn merge_replaces_rows_by_their_key() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, PEOPLE);
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE people (age INTEGER, id INTEGER PRIMARY KEY, city VARCHAR(40), \
             name VARCHAR(40) NOT NULL, own VARCHAR(9) DEFAULT 'x');\n\
             INSERT INTO people VALUES (1, 2, 'old', 'old', 'kept'), (50, 5, 'Oslo', 'Eve', 'kept');",
        );
        for _ in 0..2 {
            copied(&place, &source, &target, &json!({"mode": "merge"}));
            let mut wanted = all();
            wanted.push(["5", "Eve", "Oslo", "50"].map(str::to_owned).to_vec());
            assert_eq!(target.query(ROWS), wanted, "{source} to {target}");
            let own = target.query("SELECT own FROM people ORDER BY id");
            assert_eq!(own, [["x"], ["kept"], ["x"], ["kept"]], "{source} to {target}");
        }
    }
}

#[test]
fn a_table_without_a_key_is_not_merged() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)");
        let target = Db::with(to, &place, "CREATE TABLE t (a INTEGER)");
        refused(&place, &source, &target, &json!({"mode": "merge"}), "SCHEMA_MISMATCH", 4);
        assert_eq!(target.one("SELECT count(*) FROM t"), "0");
    }
}

/// A row that meets another one by a key other than the primary one does not replace it.
#[test]
fn merge_goes_by_the_primary_key_alone() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, PEOPLE);
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40) UNIQUE, city VARCHAR(40), \
             age INTEGER); INSERT INTO people VALUES (8, 'Bo', 'Bonn', 80);",
        );
        let what = refused(&place, &source, &target, &json!({"mode": "merge"}), "ROW_REFUSED", 4);
        assert_eq!(
            target.query(ROWS),
            [["8", "Bo", "Bonn", "80"]],
            "{source} to {target}: {what:#}"
        );
        let other = Db::with(
            to,
            &place,
            "CREATE TABLE people (id INTEGER UNIQUE, name VARCHAR(40) PRIMARY KEY, city VARCHAR(40), age INTEGER)",
        );
        refused(&place, &source, &other, &json!({"mode": "merge"}), "SCHEMA_MISMATCH", 4);
    }
}

#[test]
fn chosen_columns_and_rows_only() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, PEOPLE);
        let target = Db::new(to, &place);
        let fields = json!({"columns": {"people": ["name", "id"]}, "where": {"people": "age < 30 -- the young"}});
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(target.query("SELECT * FROM people ORDER BY id"), [["2", "Bo"], ["3", "Cy"]]);
        let notes = result["data"]["notes"].to_string();
        assert!(notes.contains("city") && notes.contains("left out"), "{notes}");
    }
}

#[test]
fn names_that_are_not_there_are_refused() {
    let place = Place::new();
    for engine in ENGINES {
        let source = Db::with(engine, &place, PEOPLE);
        let target = Db::new(engine, &place);
        for (fields, code) in [
            (json!({"columns": {"persons": ["id"]}}), "TABLE_NOT_FOUND"),
            (json!({"where": {"persons": "1=1"}}), "TABLE_NOT_FOUND"),
            (json!({"columns": {"people": ["id", "email"]}}), "SCHEMA_MISMATCH"),
            (json!({"include": ["persons"]}), "TABLE_NOT_FOUND"),
        ] {
            refused(&place, &source, &target, &fields, code, 4);
        }
    }
}

/// Rows that the target's own rules refuse are found one by one, whatever their batch.
#[test]
fn rejected_rows_are_listed_exactly_and_the_others_are_there() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(
            from,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, b VARCHAR(9))",
        );
        let values: Vec<String> =
            (1..=500).map(|id| format!("({id}, {}, 'v{id}')", id % 100)).collect();
        source.run(&format!("INSERT INTO t VALUES {}", values.join(",")));
        let definition =
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n <> 7), b VARCHAR(9))";
        let target = Db::with(to, &place, definition);
        let file = place.path(&format!("{source}-{target}.jsonl"));
        let mut fields =
            json!({"mode": "append", "rejects": {"limit": 5, "file": file}, "batch_rows": 64});
        let result = copied(&place, &source, &target, &fields);
        let told = &result["data"];
        assert_eq!((&told["rows"], &told["rejected"]), (&json!(495), &json!(5)), "{told}");
        assert_eq!(target.one("SELECT count(*) FROM t WHERE b = concat('v', id)").as_str(), "495");
        let lines = lines(&file);
        let keys: Vec<&str> =
            lines.iter().map(|line| line["key"]["id"].as_str().unwrap()).collect();
        assert_eq!(keys, ["7", "107", "207", "307", "407"], "{lines:?}");
        assert_eq!(lines[1]["row"], json!({"id": "107", "n": "7", "b": "v107"}));
        assert_eq!(lines[1]["table"], "t");

        let fresh = Db::with(to, &place, definition);
        let file = place.path(&format!("{source}-{fresh}-2.jsonl"));
        fields["rejects"] = json!({"limit": 4, "file": file});
        let result = refused(&place, &source, &fresh, &fields, "REJECT_LIMIT", 4);
        assert!(!file.exists() || lines_count(&file) <= 4, "{result}");
        assert_eq!(fresh.one("SELECT count(*) FROM t"), "0", "one span is all or nothing");
    }
}

fn lines(file: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines_count(file: &std::path::Path) -> usize {
    std::fs::read_to_string(file).unwrap().lines().count()
}

/// Many rows, made by the server itself.
fn many(engine: Engine, place: &Place, count: u32) -> Db {
    let db = Db::with(
        engine,
        place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, b VARCHAR(60) NOT NULL)",
    );
    let filler = "some text that makes the row a little longer";
    let values: Vec<String> =
        (0..count).map(|id| format!("({id}, {}, '{filler} {id}')", id % 97)).collect();
    for part in values.chunks(5000) {
        db.run(&format!("INSERT INTO t VALUES {}", part.join(",")));
    }
    db
}

/// Begins a command, slowly, and kills the engine once a span is committed.
fn killed(place: &Place, command: &Value) {
    let mut session = Session::start(place, &["--bytes-per-s", "300KB"]);
    session.send(command);
    let line = session.until(|line| line["type"] == "checkpoint" || line["type"] == "result");
    assert_eq!(line["type"], "checkpoint", "{line}");
    session.kill();
}

const SUMS: &str = "SELECT count(*), count(DISTINCT id), sum(id), sum(n), sum(length(b)) FROM t";

#[test]
fn a_killed_copy_goes_on_and_a_finished_one_is_replayed() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = many(from, &place, 12_000);
        let target = Db::new(to, &place);
        let key = format!("{source} {target}");
        let command = json!({
            "op": "tables", "id": "t", "key": key, "src": source.url(), "dst": target.url(),
            "span_rows": 500, "batch_rows": 100, "parallel_spans": 2,
        });
        for _ in 0..2 {
            killed(&place, &command);
        }
        let (result, status) = run(&place, &command);
        assert_eq!(
            (&result["status"], status),
            (&json!("ok"), 0),
            "{source} to {target}: {result:#}"
        );
        let table = &result["data"]["tables"][0];
        let (kept, spans) =
            (table["spans_kept"].as_u64().unwrap(), table["spans"].as_u64().unwrap());
        assert!(kept > 0 && kept < spans, "{source} to {target}: {table}");
        assert_eq!(table["spans_redone"], 0);
        assert_eq!(table["rows"], 12_000);
        assert_eq!(target.query(SUMS), source.query(SUMS), "{source} to {target}");
        assert_eq!(target.ledgers(), 0);
        target.run("DELETE FROM t WHERE id = 5");
        let (again, _) = run(&place, &command);
        assert_eq!((&again["replayed"], &again["data"]), (&json!(true), &result["data"]));
        assert_eq!(target.one("SELECT count(*) FROM t"), "11999", "a finished key does nothing");
        let other = json!({"mode": "replace", "key": key});
        let (refused, _) = tables(&place, &source, &target, &other);
        assert_eq!(refused["error"]["code"], "KEY_CONFLICT", "{refused}");
    }
}

/// Without a key nobody goes on with it: neither half a table nor a ledger is left.
#[test]
fn a_cancelled_copy_leaves_nothing_half_made() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = many(from, &place, 9_000);
        source.run("CREATE TABLE first (id INTEGER PRIMARY KEY); INSERT INTO first VALUES (1)");
        let target = Db::with(to, &place, "CREATE TABLE own (id INTEGER)");
        let mut session = Session::start(&place, &["--bytes-per-s", "200KB"]);
        session.send(&json!({
            "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
            "span_rows": 500, "batch_rows": 100, "parallel_spans": 2,
        }));
        session.until(|line| line["type"] == "checkpoint");
        session.send(&json!({"op": "cancel", "id": "c", "target": "t"}));
        let result = session.result("t");
        assert_eq!(result["status"], "cancelled", "{source} to {target}: {result:#}");
        let mut tables = target.tables();
        tables.retain(|name| name != "first");
        assert_eq!((tables, target.ledgers()), (vec!["own".to_owned()], 0), "{source} to {target}");
    }
}

#[test]
fn rows_that_changed_between_attempts_are_copied_anew_and_it_is_said() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = many(from, &place, 12_000);
        let target = Db::new(to, &place);
        let key = format!("{source} {target}");
        let command = json!({
            "op": "tables", "id": "t", "key": key, "src": source.url(), "dst": target.url(),
            "span_rows": 500, "batch_rows": 100, "parallel_spans": 1,
        });
        killed(&place, &command);
        // Every part of the table changes: rows go, come and become others.
        source.run("UPDATE t SET n = n + 1000 WHERE id % 250 = 3");
        source.run("DELETE FROM t WHERE id % 250 = 4");
        source.run("INSERT INTO t VALUES (-5, 1, 'before all'), (99999, 1, 'behind all')");
        let mut session = Session::start(&place, &[]);
        let result = session.call(&command);
        let (status, seen) = session.end();
        assert_eq!(
            (&result["status"], status),
            (&json!("ok"), 0),
            "{source} to {target}: {result:#}"
        );
        let redone = result["data"]["tables"][0]["spans_redone"].as_u64().unwrap();
        assert!(redone > 0, "{source} to {target}: {result:#}");
        let warned = seen.iter().any(|line| line.to_string().contains("SRC_CHANGED"));
        assert!(warned, "{source} to {target}: nothing was said: {seen:#?}");
        assert_eq!(target.query(SUMS), source.query(SUMS), "{source} to {target}");
    }
}
