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
        "CREATE TABLE t (id INTEGER PRIMARY KEY, d TIMESTAMP, n NUMERIC(9,2), b BOOLEAN);\n\
         INSERT INTO t VALUES (7, '2024-01-02 03:04:05.5', 1.50, true), (8, 'infinity', 2.5, false), (9, NULL, -3, NULL);",
    );
    let target = Db::with(
        Engine::Maria,
        &place,
        "CREATE TABLE t (nr INTEGER PRIMARY KEY, d DATETIME(6), n DECIMAL(9,2) CHECK (n > 0), \
         b BOOLEAN)",
    );
    let file = place.path("told");
    let fields = json!({
        "mode": "append", "rename": {"t.id": "nr"},
        "policy": {"default": "reject"}, "rejects": {"limit": 9, "file": file},
    });
    let result = copied(&place, &source, &target, &fields);
    let wanted = [
        json!({"id": "8", "d": "infinity", "n": "2.50", "b": "false"}),
        json!({"id": "9", "d": null, "n": "-3.00", "b": null}),
    ];
    assert_eq!(lines(&file, "t"), wanted, "{result:#}");
}

const BOTH: [(Engine, Engine); 5] = [
    (Engine::Sqlite, Engine::Sqlite),
    (Engine::Postgres, Engine::Postgres),
    (Engine::Sqlite, Engine::Maria),
    (Engine::Maria, Engine::Postgres),
    (Engine::Postgres, Engine::Sqlite),
];

/// Of three rejected rows one is mended, one stays as it is, one is gone. Keys have two columns, one
/// of them with a name of its own at the target and values of every alphabet.
#[test]
fn rejected_rows_are_taken_again_by_their_keys() {
    let place = Place::new();
    for (from, to) in BOTH {
        let source = Db::with(
            from,
            &place,
            "CREATE TABLE t (a INTEGER, b VARCHAR(20), n INTEGER, PRIMARY KEY (a, b));\n\
             INSERT INTO t VALUES (1, 'x', 1), (2, 'it''s \u{1f600}', 100), (3, 'é', 200), (4, 'y', 300);",
        );
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE t (a INTEGER, c VARCHAR(20), n INTEGER CHECK (n < 50))",
        );
        let file = place.path(&format!("retry {source}-{target}"));
        let mut fields = json!({
            "mode": "append", "rename": {"t.b": "c"}, "rejects": {"limit": 5, "file": file},
        });
        let first = copied(&place, &source, &target, &fields);
        assert_eq!(first["data"]["rejected"], json!(3), "{source} to {target}: {first:#}");
        let text = std::fs::read_to_string(&file).unwrap();
        let other = "{\"table\":\"another\",\"key\":{\"id\":\"7\"},\"row\":{}}\n";
        std::fs::write(&file, format!("{other}{text}")).unwrap();
        source.run("UPDATE t SET n = 20 WHERE a = 2; DELETE FROM t WHERE a = 4;");
        fields.as_object_mut().unwrap().remove("rejects");
        fields["retry_rejects"] = json!(file);
        for (taken, missing, written) in [(2, 1, 1), (1, 1, 0)] {
            let result = copied(&place, &source, &target, &fields);
            let data = &result["data"];
            let told = json!({
                "lines": taken + missing + 1, "taken": taken, "missing": missing, "left": 3,
            });
            assert_eq!(data["retried"], told, "{source} to {target}: {result:#}");
            let counts = (&data["rows"], &data["rejected"]);
            assert_eq!(counts, (&json!(written), &json!(taken - written)), "{result:#}");
            let rows = target.query("SELECT a, n FROM t ORDER BY a");
            assert_eq!(rows, [["1", "1"], ["2", "20"]], "{source} to {target}");
            let text = std::fs::read_to_string(&file).unwrap();
            let mut keys: Vec<String> = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].to_string())
                .collect();
            keys.sort();
            let wanted =
                ["{\"a\":\"3\",\"b\":\"é\"}", "{\"a\":\"4\",\"b\":\"y\"}", "{\"id\":\"7\"}"];
            assert_eq!(keys, wanted, "{source} to {target}");
            let side = place.path(&format!("retry {source}-{target}.retry"));
            assert!(!side.exists());
        }
    }
}

/// An attempt is killed after some of its spans: what they hold does not come twice, though the target
/// has no key that would tell.
#[test]
fn rows_taken_again_come_once_though_the_engine_dies() {
    let place = Place::new();
    let source = Db::with(
        Engine::Sqlite,
        &place,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, v VARCHAR(900));\n\
         WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 600)\n\
         INSERT INTO t SELECT i, 100, printf('%.*c', 800, 'x') FROM c;",
    );
    for to in ENGINES {
        source.run("UPDATE t SET n = 100");
        let define = "CREATE TABLE t (id INTEGER, n INTEGER CHECK (n < 50), v VARCHAR(900))";
        let target = Db::with(to, &place, define);
        let file = place.path(&format!("killed {target}"));
        let fields = json!({"mode": "append", "rejects": {"limit": 600, "file": file}});
        let first = copied(&place, &source, &target, &fields);
        assert_eq!(first["data"]["rejected"], json!(600), "{target}: {first:#}");
        source.run("UPDATE t SET n = id % 60");
        let mut command = json!({
            "op": "tables", "id": "t", "src": source.url(), "dst": target.url(), "mode": "append",
            "retry_rejects": file, "parallel_spans": 1, "limits": {"bytes_per_s": 100_000},
        });
        let mut session = crate::session::Session::start(&place, &[]);
        session.send(&command);
        let count = || target.one("SELECT count(*) FROM t").parse::<u64>().unwrap();
        let begun = std::time::Instant::now();
        while count() == 0 {
            assert!(begun.elapsed().as_secs() < 60, "{target}: nothing comes");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        session.kill();
        assert!(count() < 500, "{target}: it was over before it was killed");
        command.as_object_mut().unwrap().remove("limits");
        let (result, status) = crate::run(&place, &command);
        assert_eq!((&result["status"], status), (&json!("ok"), 0), "{target}: {result:#}");
        let fits = "SELECT count(*), count(DISTINCT id), max(n) FROM t";
        assert_eq!(target.query(fits), [["500", "500", "49"]], "{target}: {result:#}");
        let table = &result["data"]["tables"][0];
        assert!(table["spans_kept"].as_u64().unwrap() > 0, "{target}: {result:#}");
        assert_eq!(lines(&file, "t").len(), 100, "{target}");
        assert_eq!(target.ledgers(), 0, "{target}");
    }
}

/// What cannot be found again is said before anything is written.
#[test]
fn rows_without_a_key_are_not_taken_again() {
    let place = Place::new();
    let source = Db::with(Engine::Sqlite, &place, "CREATE TABLE t (n INTEGER)");
    let target = Db::with(Engine::Sqlite, &place, "CREATE TABLE t (n INTEGER)");
    let file = place.path("keyless");
    std::fs::write(&file, "{\"table\":\"t\",\"key\":{},\"row\":{\"n\":\"1\"}}\n").unwrap();
    let fields = json!({"mode": "append", "retry_rejects": file});
    crate::refused(&place, &source, &target, &fields, "UNSUPPORTED", 4);
    std::fs::write(&file, "no line of it\n").unwrap();
    crate::refused(&place, &source, &target, &fields, "INVALID_FIELD", 4);
    let fields = json!({"mode": "replace", "retry_rejects": file});
    let (result, _) = tables(&place, &source, &target, &fields);
    assert_eq!(result["error"]["at"]["field"], "mode", "{result:#}");
}

/// A rule that is looked at as the transaction ends, where no row can be told any more.
#[test]
fn rules_that_are_looked_at_last_are_no_error_of_ours() {
    let place = Place::new();
    let source = Db::with(
        Engine::Sqlite,
        &place,
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER); INSERT INTO c VALUES (1, 1), (2, 7);",
    );
    let deferred = "CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);\n\
        CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER CONSTRAINT points REFERENCES p (id) \
        DEFERRABLE INITIALLY DEFERRED);";
    // Rules that this engine has looked at with each row: the row is told, and may be rejected.
    let target = Db::with(Engine::Postgres, &place, deferred);
    let fields = json!({"mode": "append"});
    let told = crate::refused(&place, &source, &target, &fields, "ROW_REFUSED", 4);
    assert!(told["error"]["message"].as_str().unwrap().contains("id=2"), "{told:#}");
    let file = place.path("deferred");
    let fields = json!({"mode": "append", "rejects": {"limit": 1, "file": file}});
    copied(&place, &source, &target, &fields);
    assert_eq!(target.query("SELECT id FROM c"), [["1"]]);
    assert_eq!(lines(&file, "c"), [json!({"id": "2", "p": "7"})]);
    // A trigger has them looked at last all the same; of SQLite they are in any case.
    let late = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NULL; END';\n\
        CREATE TRIGGER g BEFORE INSERT ON c FOR EACH STATEMENT EXECUTE FUNCTION f();";
    let postgres = Db::with(Engine::Postgres, &place, &format!("{deferred} {late}"));
    for target in [postgres, Db::with(Engine::Sqlite, &place, deferred)] {
        for limit in [0, 1] {
            let fields = json!({
                "mode": "append", "rejects": {"limit": limit, "file": place.path("late")},
            });
            let told = crate::refused(&place, &source, &target, &fields, "ROW_REFUSED", 4);
            let hint = told["error"]["hint"].as_str().unwrap();
            assert!(hint.contains("as the transaction ends"), "{target}: {told:#}");
            assert_eq!(target.one("SELECT count(*) FROM c"), "0", "{target}");
        }
    }
}
