//! Rules of tables that stand: none of them drops a row, replaces one or doubles one without a word,
//! and what they refuse is not there.

use serde_json::json;

use crate::db::{Db, ENGINES, Engine};
use crate::session::Place;
use crate::{copied, refused};

const THREE: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9));\n\
    INSERT INTO t VALUES (1, 'new'), (2, 'new'), (3, 'new');";

const ROWS: &str = "SELECT id, a FROM t ORDER BY id";

fn told(place: &Place, name: &str) -> serde_json::Value {
    json!({"limit": 2, "file": place.path(name)})
}

#[test]
fn a_conflict_clause_of_the_tables_own_neither_drops_nor_replaces_rows() {
    let place = Place::new();
    for rule in ["IGNORE", "REPLACE", "FAIL", "ROLLBACK"] {
        let source = Db::with(Engine::Sqlite, &place, THREE);
        let made = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT {rule}, \
             a VARCHAR(9) NOT NULL ON CONFLICT {rule}); INSERT INTO t VALUES (2, 'old');"
        );
        let target = Db::with(Engine::Sqlite, &place, &made);
        refused(&place, &source, &target, &json!({"mode": "append"}), "ROW_REFUSED", 4);
        assert_eq!(target.query(ROWS), [["2", "old"]], "{rule}");

        let fields = json!({"mode": "append", "rejects": told(&place, rule)});
        let result = copied(&place, &source, &target, &fields);
        let told = &result["data"];
        assert_eq!((&told["rows"], &told["rejected"]), (&json!(2), &json!(1)), "{rule}: {told}");
        assert_eq!(target.query(ROWS), [["1", "new"], ["2", "old"], ["3", "new"]], "{rule}");
        copied(&place, &source, &target, &json!({"mode": "merge"}));
        assert_eq!(target.query(ROWS), [["1", "new"], ["2", "new"], ["3", "new"]], "{rule}");
    }
}

#[test]
fn merge_does_not_go_by_a_conflict_clause_of_another_key() {
    let place = Place::new();
    for rule in ["IGNORE", "REPLACE"] {
        let source = Db::with(Engine::Sqlite, &place, THREE);
        source.run("DELETE FROM t WHERE id > 1");
        let made = format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9) UNIQUE ON CONFLICT {rule}); \
             INSERT INTO t VALUES (9, 'new');"
        );
        let target = Db::with(Engine::Sqlite, &place, &made);
        refused(&place, &source, &target, &json!({"mode": "merge"}), "ROW_REFUSED", 4);
        assert_eq!(target.query(ROWS), [["9", "new"]], "{rule}");
    }
}

#[test]
fn rows_that_a_trigger_ignores_are_refused() {
    let place = Place::new();
    let source = Db::with(Engine::Sqlite, &place, THREE);
    for mode in ["append", "merge"] {
        let target = Db::with(
            Engine::Sqlite,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9));\n\
             CREATE TRIGGER g BEFORE INSERT ON t WHEN new.id = 2 BEGIN SELECT raise(IGNORE); END;",
        );
        refused(&place, &source, &target, &json!({"mode": mode}), "ROW_REFUSED", 4);
        assert_eq!(target.one("SELECT count(*) FROM t"), "0", "{mode}");
        let fields = json!({"mode": mode, "rejects": told(&place, mode)});
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(result["data"]["rejected"], 1, "{mode}: {result}");
        assert_eq!(target.query(ROWS), [["1", "new"], ["3", "new"]], "{mode}");
    }
}

/// Rows that are nothing but a key are merged by leaving those that are there.
#[test]
fn keys_alone_are_merged() {
    let place = Place::new();
    let keys = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2);";
    let source = Db::with(Engine::Sqlite, &place, keys);
    let target = Db::with(Engine::Sqlite, &place, &keys.replace("(1), ", ""));
    copied(&place, &source, &target, &json!({"mode": "merge"}));
    assert_eq!(target.query("SELECT id FROM t ORDER BY id"), [["1"], ["2"]]);
}

/// Rows of a span that is given up would stay, and be there twice.
#[test]
fn tables_without_transactions_take_no_rows() {
    let place = Place::new();
    for engine in ["MyISAM", "MEMORY", "Aria TRANSACTIONAL = 0", "Aria"] {
        let source = Db::with(Engine::Sqlite, &place, THREE);
        source.run("CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);");
        let made = format!(
            "CREATE TABLE a (id INTEGER PRIMARY KEY); \
             CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9)) ENGINE = {engine}; \
             INSERT INTO t VALUES (3, 'old');"
        );
        let target = Db::with(Engine::Maria, &place, &made);
        for mode in ["append", "merge"] {
            let result =
                refused(&place, &source, &target, &json!({"mode": mode}), "SCHEMA_MISMATCH", 4);
            let told = &result["error"];
            let word = engine.split(' ').next().unwrap();
            assert!(told["message"].as_str().unwrap().contains(word), "{told}");
            assert!(told["hint"].as_str().unwrap().contains("InnoDB"), "{told}");
            assert_eq!(target.query(ROWS), [["3", "old"]], "{engine}, {mode}");
            assert_eq!(target.one("SELECT count(*) FROM a"), "0", "{engine}, {mode}");
        }
        copied(&place, &source, &target, &json!({"mode": "replace"}));
        assert_eq!(target.one("SELECT count(*) FROM t"), "3", "{engine}");
    }
}

/// A child whose parent is there, and one that points nowhere.
const CHILDREN: &str = "CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER);\n\
    INSERT INTO child VALUES (1, 7), (2, 8);";

const FAMILY: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (7);\n\
    CREATE TABLE child (id INTEGER PRIMARY KEY, p INTEGER, \
    CONSTRAINT c FOREIGN KEY (p) REFERENCES parent (id));";

#[test]
fn no_orphans_get_in_under_a_foreign_key_that_stands() {
    let place = Place::new();
    let source = Db::with(Engine::Sqlite, &place, CHILDREN);
    for engine in ENGINES {
        for mode in ["append", "merge"] {
            let target = Db::with(engine, &place, FAMILY);
            refused(&place, &source, &target, &json!({"mode": mode}), "ROW_REFUSED", 4);
            assert_eq!(target.one("SELECT count(*) FROM child"), "0", "{target}, {mode}");
            let fields = json!({"mode": mode, "rejects": told(&place, &format!("{target}{mode}"))});
            let result = copied(&place, &source, &target, &fields);
            assert_eq!(result["data"]["rejected"], 1, "{target}, {mode}: {result}");
            assert_eq!(target.query("SELECT id, p FROM child"), [["1", "7"]], "{target}, {mode}");
        }
    }
}

/// One session writes what stands and what the job makes, each by its own rule.
#[test]
fn a_table_that_is_made_beside_one_that_stands_takes_rows_in_any_order() {
    let place = Place::new();
    for engine in ENGINES {
        let source = Db::with(engine, &place, FAMILY);
        source.run("INSERT INTO child VALUES (1, 7), (2, NULL)");
        let more: Vec<String> = (10..60).map(|id| format!("({id}, 7)")).collect();
        source.run(&format!("INSERT INTO child VALUES {}", more.join(",")));
        let target = Db::with(engine, &place, "CREATE TABLE parent (id INTEGER PRIMARY KEY)");
        // The larger one comes first, and is the child.
        let fields = json!({"mode": "append", "parallel_spans": 1});
        copied(&place, &source, &target, &fields);
        assert_eq!(target.one("SELECT count(*) FROM child"), "52", "{target}");
    }
}

/// Which row it was is not known at a commit; nothing of the span is there.
#[test]
fn a_foreign_key_that_is_looked_at_last_keeps_the_whole_span_out() {
    let place = Place::new();
    let source = Db::with(Engine::Sqlite, &place, CHILDREN);
    let deferred = FAMILY.replace("(id));", "(id) DEFERRABLE INITIALLY DEFERRED);");
    let target = Db::with(Engine::Sqlite, &place, &deferred);
    let fields = json!({"mode": "append", "rejects": told(&place, "deferred")});
    refused(&place, &source, &target, &fields, "ROW_REFUSED", 4);
    assert_eq!(target.one("SELECT count(*) FROM child"), "0");
}
