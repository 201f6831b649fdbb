//! What is made once the rows are there: all that can be, and what cannot is told by its name.

use serde_json::json;

use crate::db::{Db, ENGINES, Engine};
use crate::{copied, run, same};

/// A database without keys of its own that holds a row whose parent is missing.
const ORPHAN: &str = "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);\n\
    CREATE TABLE c (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER, z INTEGER, \
    FOREIGN KEY (x) REFERENCES p (id), \
    FOREIGN KEY (y) REFERENCES p (id), \
    FOREIGN KEY (z) REFERENCES p (id));\n\
    CREATE INDEX ix ON c (x); CREATE INDEX iy ON c (y); CREATE INDEX iz ON c (z);\n\
    PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1, 1, 2, 1);";

fn foreign_keys(db: &Db) -> Vec<String> {
    let sql = match db.engine {
        Engine::Postgres => {
            "SELECT conname FROM pg_constraint WHERE contype = 'f' \
             AND connamespace = 'public'::regnamespace ORDER BY 1"
        }
        _ => {
            "SELECT constraint_name FROM information_schema.table_constraints \
             WHERE constraint_schema = DATABASE() AND constraint_type = 'FOREIGN KEY' ORDER BY 1"
        }
    };
    db.query(sql).into_iter().flatten().collect()
}

#[test]
fn a_key_that_rows_break_is_told_by_its_name_and_the_others_are_made() {
    let place = crate::place();
    for to in [Engine::Postgres, Engine::Maria] {
        let source = Db::with(Engine::Sqlite, &place, ORPHAN);
        let target = Db::new(to, &place);
        let command = json!({"op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
            "key": format!("{to:?}")});
        let (result, _) = run(&place, &command);
        let error = &result["error"];
        let told = (&result["status"], &error["code"], &error["at"]["path"]);
        assert_eq!(told, (&json!("failed"), &json!("ROW_REFUSED"), &json!("c")), "{result:#}");
        let hint = error["hint"].as_str().unwrap();
        assert!(
            hint.contains("the rows are there") && hint.ends_with(": c_fkey2"),
            "{to:?}: {hint}"
        );
        assert_eq!(foreign_keys(&target), ["c_fkey1", "c_fkey3"], "{to:?}");
        assert_eq!(target.one("SELECT count(*) FROM c"), "1", "{to:?}");
        target.run("INSERT INTO p VALUES (2)");
        source.run("INSERT INTO p VALUES (2)");
        let (result, _) = run(&place, &command);
        assert_eq!(result["status"], "ok", "{to:?}: {result:#}");
        assert_eq!(foreign_keys(&target), ["c_fkey1", "c_fkey2", "c_fkey3"], "{to:?}");
    }
}

/// Indexes of a table that is large enough are built apart from each other.
#[test]
fn indexes_of_a_large_table_are_all_made() {
    let place = crate::place();
    let seed = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER);\n\
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)\n\
        INSERT INTO t SELECT i, i % 7, i % 11, i FROM n;\n\
        CREATE INDEX ia ON t (a); CREATE INDEX ib ON t (b, a); CREATE UNIQUE INDEX ic ON t (c);";
    let source = Db::with(Engine::Sqlite, &place, seed);
    for to in ENGINES {
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &json!({}));
        same(&place, &source, &target);
        let tables = crate::schema(&place, &target);
        let mut names: Vec<_> = tables
            .iter()
            .flat_map(|table| table["indexes"].as_array().unwrap())
            .map(|index| index.as_str().unwrap().trim_start_matches("t_").to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["ia", "ib", "ic"], "{target}");
    }
}
