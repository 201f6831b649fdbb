//! Rows that a target refuses: filed once, as they are now, whatever became of earlier attempts.

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine};
use crate::session::Place;
use crate::{copied, tables};

/// The lines of a file, without what differs from run to run.
fn lines(file: &std::path::Path, table: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of: Vec<Value> =
        all.filter(|line| line["table"].as_str().unwrap().ends_with(table)).collect();
    of.sort_by_key(|line| line["key"]["id"].as_str().unwrap().parse::<u64>().unwrap());
    of.into_iter().map(|line| line["row"].clone()).collect()
}

fn row(id: u32, n: u32) -> Value {
    json!({"id": id.to_string(), "n": n.to_string()})
}

/// The first attempt ends at a table that takes nothing. Of the one before, a row that was refused
/// changes: its span is copied anew, and what was filed of it with it. The other spans stand.
#[test]
fn a_refused_row_that_changed_is_noticed() {
    let place = Place::new();
    let pairs = [
        (Engine::Sqlite, Engine::Sqlite),
        (Engine::Postgres, Engine::Postgres),
        (Engine::Sqlite, Engine::Maria),
        (Engine::Maria, Engine::Postgres),
    ];
    for (from, to) in pairs {
        let define = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); \
                      CREATE TABLE z (id INTEGER PRIMARY KEY, n INTEGER);";
        let source = Db::with(from, &place, define);
        let rows = (1..=200).map(|n| format!("({n}, {})", if n % 90 == 7 { 1000 } else { n }));
        source.run(&format!("INSERT INTO t VALUES {}", rows.collect::<Vec<_>>().join(",")));
        source.run("INSERT INTO z VALUES (1, 7), (2, 7)");
        let limits = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 1000)); \
                      CREATE TABLE z (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 5));";
        let target = Db::with(to, &place, limits);
        let file = place.path(&format!("{source}-{target}"));
        let fields = json!({
            "mode": "merge", "key": format!("{source}-{target}"), "span_rows": 100,
            "parallel_spans": 1, "rejects": {"limit": 4, "file": file},
        });
        let (failed, _) = tables(&place, &source, &target, &fields);
        let what = format!("{source} to {target}: {failed:#}");
        assert_eq!(failed["error"]["code"], "REJECT_LIMIT", "{what}");
        assert_eq!(target.one("SELECT count(*) FROM t"), "197", "{what}");
        assert_eq!(lines(&file, "t"), [row(7, 1000), row(97, 1000), row(187, 1000)], "{what}");
        source.run("UPDATE t SET n = 2000 WHERE id = 187; UPDATE z SET n = 1");
        let result = copied(&place, &source, &target, &fields);
        let told = result["data"]["tables"].as_array().unwrap();
        let told = told.iter().find(|one| one["table"].as_str().unwrap().ends_with('t')).unwrap();
        let spans = told["spans"].as_u64().unwrap();
        let counts = [&told["spans_redone"], &told["rejected"], &told["rows"]];
        assert_eq!(counts, [&json!(1), &json!(3), &json!(197)], "{what} {told:#}");
        assert_eq!(told["spans_kept"], json!(spans - 1), "{told:#}");
        assert!(spans > 1, "{told:#}");
        assert_eq!(lines(&file, "t"), [row(7, 1000), row(97, 1000), row(187, 2000)], "{told:#}");
        assert_eq!(lines(&file, "z"), Vec::<Value>::new());
        assert_eq!(target.one("SELECT count(*) FROM z"), "2");
    }
}

/// Without a file of the operator's, all attempts file in one place, which the result names.
#[test]
fn all_attempts_of_a_key_file_in_one_place() {
    let place = Place::new();
    let source = Db::with(
        Engine::Sqlite,
        &place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1), (2, 7);\n\
         CREATE TABLE z (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO z VALUES (1, 7);",
    );
    for to in ENGINES {
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 5)); \
             CREATE TABLE z (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 5));",
        );
        let fields = json!({
            "mode": "append", "key": format!("{target}"), "parallel_spans": 1,
            "rejects": {"limit": 1},
        });
        let (failed, _) = tables(&place, &source, &target, &fields);
        assert_eq!(failed["error"]["code"], "REJECT_LIMIT", "{target}: {failed:#}");
        source.run("UPDATE z SET n = 1");
        let result = copied(&place, &source, &target, &fields);
        source.run("UPDATE z SET n = 7");
        let file = result["data"]["rejects"]["path"].as_str().unwrap();
        assert_eq!(lines(std::path::Path::new(file), "t"), [row(2, 7)], "{target}: {result:#}");
    }
}

/// Keys in the file are those of the source, in its own words, whoever refused the row.
#[test]
fn refused_rows_are_told_by_the_names_and_values_of_the_source() {
    let place = Place::new();
    let source = Db::with(
        Engine::Postgres,
        &place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, d TIMESTAMP, n NUMERIC(9,2), b BOOLEAN, u UUID);\n\
         INSERT INTO t VALUES (7, '2024-01-02 03:04:05.5', 1.50, true, \
         '00000000-0000-0000-0000-00000000000a'), (8, 'infinity', 2.5, false, NULL), (9, NULL, -3, NULL, NULL);",
    );
    let target = Db::with(
        Engine::Maria,
        &place,
        "CREATE TABLE t (nr INTEGER PRIMARY KEY, d DATETIME(6), n DECIMAL(9,2) CHECK (n > 0), \
         b BOOLEAN, u CHAR(36))",
    );
    let file = place.path("told");
    let fields = json!({
        "mode": "append", "rename": {"public.t": "t", "public.t.id": "nr"},
        "policy": {"default": "reject"}, "rejects": {"limit": 9, "file": file},
    });
    let result = copied(&place, &source, &target, &fields);
    let wanted = [
        json!({"id": "8", "d": "infinity", "n": "2.50", "b": "false", "u": null}),
        json!({"id": "9", "d": null, "n": "-3.00", "b": null, "u": null}),
    ];
    assert_eq!(lines(&file, "t"), wanted, "{result:#}");
}
