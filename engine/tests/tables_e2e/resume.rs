//! A key goes on where its earlier attempt ended, whatever the source is by then.

use serde_json::json;

use crate::db::{Db, ENGINES, Engine};
use crate::session::Place;
use crate::{copied, tables};

/// A row of `far` points to no parent: its foreign key cannot be made, nor kept.
const ORPHAN: &str = "PRAGMA foreign_keys = off;\n\
    CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(9));\n\
    CREATE TABLE near (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL \
    REFERENCES parents (id), note VARCHAR(9));\n\
    CREATE TABLE far (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parents (id));\n\
    INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bo');\n\
    INSERT INTO near VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 2, 'c');\n\
    INSERT INTO far VALUES (1, 7);";

/// The first attempt copies all rows and makes one of two foreign keys: the other one has an orphan.
/// Then the orphan goes, and a parent changes, to which the foreign key that stands points.
#[test]
fn rows_that_changed_go_though_a_foreign_key_points_to_them() {
    let place = Place::new();
    for to in ENGINES {
        let source = Db::with(Engine::Sqlite, &place, ORPHAN);
        let target = Db::new(to, &place);
        let fields = json!({"key": format!("resumed at {to:?}")});
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["status"], "failed", "{target}: {failed:#}");
        assert_eq!(target.one("SELECT count(*) FROM near"), "3", "{target}");
        let made = if to == Engine::Sqlite { 2 } else { 1 };
        assert_eq!(keys(&place, &target), made, "{target}");
        source.run(
            "UPDATE parents SET name = 'Cy' WHERE id = 2; UPDATE near SET note = 'd' WHERE id = 3;\n\
             UPDATE far SET parent = 1;",
        );
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(
            target.query("SELECT id, name FROM parents ORDER BY id"),
            [["1", "Ada"], ["2", "Cy"]],
            "{target}: {result:#}"
        );
        assert_eq!(target.one("SELECT note FROM near WHERE id = 3"), "d", "{target}");
        assert_eq!(keys(&place, &target), 2, "{target}");
    }
}

/// Foreign keys that the target has.
fn keys(place: &Place, target: &Db) -> usize {
    let tables = crate::schema(place, target);
    tables.iter().map(|table| table["foreign_keys"].as_array().map_or(0, Vec::len)).sum()
}

/// What was committed into a table that is gone is not there any more, whatever the ledger says.
#[test]
fn a_table_that_is_gone_is_made_and_filled_anew() {
    let place = Place::new();
    for to in ENGINES {
        let source = Db::with(Engine::Sqlite, &place, ORPHAN);
        let target = Db::new(to, &place);
        let fields = json!({"key": format!("gone at {to:?}")});
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["status"], "failed", "{target}: {failed:#}");
        source.run("UPDATE far SET parent = 1");
        target.run("DROP TABLE far; DROP TABLE near; DROP TABLE parents;");
        let result = copied(&place, &source, &target, &fields);
        assert_eq!(target.one("SELECT count(*) FROM parents"), "2", "{target}: {result:#}");
        assert_eq!(target.one("SELECT parent FROM far"), "1", "{target}: {result:#}");
        let told = result["data"]["tables"].as_array().unwrap();
        assert!(told.iter().all(|table| table["spans_kept"] == 0), "{target}: {result:#}");
    }
}

/// A proof that failed fails again: what is committed is no proof.
#[test]
fn a_failed_proof_is_not_passed_by_sending_it_again() {
    let place = Place::new();
    for to in ENGINES {
        let source = Db::with(Engine::Sqlite, &place, ORPHAN);
        let target = Db::new(to, &place);
        let fields = json!({"key": format!("unproven at {to:?}"), "verify": "readback"});
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["status"], "failed", "{target}: {failed:#}");
        source.run("UPDATE far SET parent = 1");
        target.run("UPDATE near SET note = 'other' WHERE id = 2");
        for _ in 0..2 {
            let (failed, _) = tables(&place, &source, &target, &fields);
            assert_eq!(failed["error"]["code"], "VERIFY_MISMATCH", "{target}: {failed:#}");
        }
        target.run("UPDATE near SET note = 'b' WHERE id = 2");
        copied(&place, &source, &target, &fields);
    }
}

/// Tables of which an attempt reads no rows keep what is known of the others, and of themselves.
#[test]
fn tables_without_rows_reset_nothing() {
    let place = Place::new();
    for to in ENGINES {
        let source = Db::with(Engine::Sqlite, &place, ORPHAN);
        source.run("CREATE TABLE hollow (id INTEGER PRIMARY KEY)");
        let target = Db::new(to, &place);
        let fields = json!({"key": format!("without rows at {to:?}")});
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["status"], "failed", "{target}: {failed:#}");
        source.run("DELETE FROM far; INSERT INTO near VALUES (4, 1, 'd')");
        let result = copied(&place, &source, &target, &fields);
        let counts = ["parents", "near", "far", "hollow"]
            .map(|table| target.one(&format!("SELECT count(*) FROM {table}")));
        assert_eq!(counts, ["2", "4", "0", "0"], "{target}: {result:#}");
        let told = result["data"]["tables"].as_array().unwrap();
        let redone = |name: &str| {
            let table = told.iter().find(|table| table["table"] == name).unwrap();
            table["spans_redone"].as_u64().unwrap()
        };
        assert_eq!(["parents", "near", "far", "hollow"].map(redone), [0, 1, 1, 0], "{target}");
    }
}
