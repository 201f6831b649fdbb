//! Tables of others, which no failure of a job may cost a row.

use serde_json::json;

use crate::db::{Db, Engine, pairs};
use crate::session::Place;
use crate::{copied, refused, run, tables};

/// The catalogue leaves partitions out: that the name is taken is found out when the table is made.
#[test]
fn a_table_that_could_not_be_made_is_not_removed() {
    let place = Place::new();
    let source = Db::with(
        Engine::Sqlite,
        &place,
        "CREATE TABLE part (id INTEGER PRIMARY KEY); INSERT INTO part VALUES (1)",
    );
    let target = Db::with(
        Engine::Postgres,
        &place,
        "CREATE TABLE whole (id bigint) PARTITION BY RANGE (id);\n\
         CREATE TABLE part PARTITION OF whole FOR VALUES FROM (0) TO (100);\n\
         INSERT INTO whole VALUES (5), (6);",
    );
    for fields in [json!({}), json!({"key": "taken"}), json!({"key": "taken"})] {
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["error"]["code"], "DATABASE_REFUSED", "{failed:#}");
        assert_eq!(target.one("SELECT count(*) FROM whole"), "2", "{fields}");
    }
}

/// SQLite finds a table by a name in other letters.
#[test]
fn a_name_in_other_letters_is_the_same_table() {
    let place = Place::new();
    let rows = "CREATE TABLE users (id INTEGER PRIMARY KEY); INSERT INTO users VALUES (1)";
    let source = Db::with(Engine::Sqlite, &place, rows);
    let standing = "CREATE TABLE Users (id INTEGER PRIMARY KEY); INSERT INTO Users VALUES (7)";
    let target = Db::with(Engine::Sqlite, &place, standing);
    refused(&place, &source, &target, &json!({}), "DST_EXISTS", 4);
    assert_eq!(target.query("SELECT id FROM Users"), [["7"]]);
    copied(&place, &source, &target, &json!({"mode": "append"}));
    assert_eq!(target.query("SELECT id FROM Users ORDER BY id"), [["1"], ["7"]]);
    copied(&place, &source, &target, &json!({"mode": "replace"}));
    assert_eq!(target.query("SELECT id FROM Users"), [["1"]]);
}

/// In one database a table may be both read and written, by another name than its own.
#[test]
fn no_table_is_written_that_is_read() {
    let place = Place::new();
    for (engine, other) in pairs() {
        if engine != other {
            continue;
        }
        let db = Db::with(
            engine,
            &place,
            "CREATE TABLE a (id INTEGER); CREATE TABLE b (id INTEGER); INSERT INTO a VALUES (1);\n\
             INSERT INTO b VALUES (2);",
        );
        let command = json!({"op": "tables", "id": "t", "src": db.url(), "dst": db.url(),
            "mode": "replace", "rename": {"a": "b", "b": "c"}});
        let (result, _) = run(&place, &command);
        assert_eq!(result["error"]["code"], "OVERLAP", "{db}: {result:#}");
        assert_eq!(db.query("SELECT id FROM b"), [["2"]], "{db}");
    }
}

/// Sent again without a key, the command would add rows twice: the error says so.
#[test]
fn rows_that_stay_in_a_table_of_others_are_told() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(
            from,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY);\n\
             INSERT INTO t VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10);",
        );
        let standing = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (10);";
        let target = Db::with(to, &place, standing);
        let fields = json!({"mode": "append", "span_rows": 2, "parallel_spans": 1});
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["error"]["code"], "ROW_REFUSED", "{source} to {target}: {failed:#}");
        let stay = target.one("SELECT count(*) - 1 FROM t");
        let hint = failed["error"]["hint"].as_str().unwrap();
        let told = format!("{stay} rows that were committed stay");
        assert!(stay != "0" && hint.contains(&told), "{source} to {target}: {failed:#}");
    }
}
