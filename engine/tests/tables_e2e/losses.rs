//! Causes for which other programs lost, doubled or changed rows: one test for each that touches SQL,
//! named by the cause.

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs};
use crate::session::{Place, Session};
use crate::{copied, refused, run, same, tables};

/// The numbers from 1 as rows of a statement.
fn values(count: u32, row: impl Fn(u32) -> String) -> String {
    (1..=count).map(row).collect::<Vec<_>>().join(",")
}

fn small_spans() -> Value {
    json!({"span_rows": 50, "batch_rows": 16, "parallel_spans": 3})
}

/// Counts, sums and the order-free sum of a column of text must be those of the source.
fn same_figures(source: &Db, target: &Db, sql: &str) {
    assert_eq!(target.query(sql), source.query(sql), "{source} to {target}: {sql}");
}

#[test]
fn null_in_the_column_that_tells_ranges() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, "CREATE TABLE t (k INTEGER UNIQUE, n INTEGER)");
        let rows =
            values(
                400,
                |n| if n % 5 == 0 { format!("(NULL, {n})") } else { format!("({n}, {n})") },
            );
        source.run(&format!("INSERT INTO t VALUES {rows}"));
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &small_spans());
        same_figures(&source, &target, "SELECT count(*), count(k), sum(k), sum(n) FROM t");
        same(&place, &source, &target);
    }
}

/// Adjacent ranges neither share a row nor leave one out, whatever the gaps and the skew.
#[test]
fn ends_of_adjacent_ranges() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, "CREATE TABLE t (k BIGINT PRIMARY KEY, n INTEGER)");
        let gap = |n: u32| match n {
            1 => -9_223_372_036_854_775_808,
            500 => 9_223_372_036_854_775_807,
            _ => {
                i64::from(n)
                    * i64::from(n % 7 + 1)
                    * if n.is_multiple_of(3) { -1_000_003 } else { 1 }
                    + i64::from(n) * 7_000_000_000
            }
        };
        source.run(&format!(
            "INSERT INTO t VALUES {}",
            values(500, |n| format!("({}, {n})", gap(n)))
        ));
        let target = Db::new(to, &place);
        let result = copied(&place, &source, &target, &small_spans());
        assert!(result["data"]["tables"][0]["spans"].as_u64().unwrap() > 1, "{source}: {result}");
        same_figures(
            &source,
            &target,
            "SELECT count(*), count(DISTINCT k), sum(n), min(k), max(k) FROM t",
        );
    }
}

/// Rows behind the last key that was there when ranges were chosen: the next attempt has them.
#[test]
fn last_range_closed_while_the_table_grew() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source =
            Db::with(from, &place, "CREATE TABLE t (k INTEGER PRIMARY KEY, n VARCHAR(100))");
        let filler = "x".repeat(90);
        source.run(&format!(
            "INSERT INTO t VALUES {}",
            values(9000, |n| format!("({n}, '{filler}')"))
        ));
        let target = Db::new(to, &place);
        let key = format!("{source} {target}");
        let command = json!({
            "op": "tables", "id": "t", "key": key, "src": source.url(), "dst": target.url(),
            "span_rows": 400, "batch_rows": 100, "parallel_spans": 1,
        });
        let mut session = Session::start(&place, &["--bytes-per-s", "200KB"]);
        session.send(&command);
        let line = session.until(|line| line["type"] == "checkpoint" || line["type"] == "result");
        assert_eq!(line["type"], "checkpoint", "{line}");
        // A file takes no writer while it is read.
        session.kill();
        source.run("INSERT INTO t VALUES (-1, 'low'), (1000000, 'high')");
        let (result, _) = run(&place, &command);
        assert_eq!(result["status"], "ok", "{source} to {target}: {result:#}");
        assert_eq!(result.get("replayed"), None, "it was not stopped in time");
        same_figures(&source, &target, "SELECT count(*), min(k), max(k), sum(k) FROM t");
    }
}

/// Rows that share the first column of a key, more of them than a span takes.
#[test]
fn ties_in_the_first_column_of_a_key() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source =
            Db::with(from, &place, "CREATE TABLE t (a INTEGER, b INTEGER, PRIMARY KEY (a, b))");
        source.run(&format!(
            "INSERT INTO t VALUES {}",
            values(600, |n| format!("({}, {n})", n / 200))
        ));
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &small_spans());
        same_figures(
            &source,
            &target,
            "SELECT a, count(*), count(DISTINCT b), sum(b) FROM t GROUP BY a ORDER BY a",
        );
    }
}

/// Keys of text, by collations whose order no client knows.
#[test]
fn order_of_the_server_and_not_of_the_client() {
    let place = Place::new();
    let words = |n: u32| {
        let marks = ["a", "A", "_", "ä", "-", "Z", "ß", "ss", "é", "E", "#", "~", "Ж", "ж", "😀"];
        format!("{}{}{n}", marks[n as usize % marks.len()], marks[n as usize / 7 % marks.len()])
    };
    for (from, to) in pairs() {
        let key = match from {
            Engine::Postgres => "VARCHAR(40) COLLATE \"und-x-icu\"",
            Engine::Maria => "VARCHAR(40) COLLATE utf8mb4_unicode_ci",
            Engine::Sqlite => "VARCHAR(40) COLLATE NOCASE",
        };
        let source =
            Db::with(from, &place, &format!("CREATE TABLE t (k {key} PRIMARY KEY, n INTEGER)"));
        source.run(&format!(
            "INSERT INTO t VALUES {}",
            values(400, |n| format!("('{}', {n})", words(n)))
        ));
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &small_spans());
        same_figures(&source, &target, "SELECT count(*), sum(n), count(DISTINCT n) FROM t");
        same(&place, &source, &target);
    }
}

/// Keys that a collation takes for one: refused with the key, not dropped in silence.
#[test]
fn keys_that_the_target_takes_for_one() {
    let place = Place::new();
    for from in [Engine::Postgres, Engine::Sqlite].into_iter().filter(|from| ENGINES.contains(from))
    {
        let source = Db::with(from, &place, "CREATE TABLE t (k VARCHAR(9) PRIMARY KEY, n INTEGER)");
        source.run("INSERT INTO t VALUES ('a', 1), ('A', 2), ('á', 3), ('a ', 4)");
        for to in ENGINES {
            let target = Db::new(to, &place);
            let (result, status) = tables(&place, &source, &target, &json!({}));
            if result["status"] != "ok" {
                let told = (&result["error"]["code"], status, target.tables().len());
                assert_eq!(told, (&json!("ROW_REFUSED"), 4, 0), "{source} to {target}: {result:#}");
                continue;
            }
            let hex = target.hex("k");
            let rows = target.query(&format!("SELECT {hex}, n FROM t ORDER BY n"));
            assert_eq!(
                rows,
                [["61", "1"], ["41", "2"], ["c3a1", "3"], ["6120", "4"]],
                "{source} to {target}"
            );
        }
    }
}

/// What a bulk load turns into a warning: too long, out of range, no number, a double key.
#[test]
fn warnings_of_bulk_loads() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(
            from,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n BIGINT, v VARCHAR(90))",
        );
        source.run("INSERT INTO t VALUES (1, 1, 'fits'), (2, 70000, 'fits'), (3, 3, 'is much too long'), (4, 4, 'fits')");
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n SMALLINT CHECK (n < 60000), v VARCHAR(4) CHECK (length(v) <= 4));\n\
             INSERT INTO t VALUES (4, 44, 'own');",
        );
        let file = place.path(&format!("{source}-{target}"));
        let fields = json!({"mode": "append", "rejects": {"limit": 3, "file": file}});
        let (result, status) = tables(&place, &source, &target, &fields);
        let rows = target.query("SELECT id, n, v FROM t ORDER BY id");
        let what = format!("{source} to {target}: {result:#}");
        if result["status"] == "ok" {
            assert_eq!(rows, [["1", "1", "fits"], ["4", "44", "own"]], "{what}");
            assert_eq!(
                (&result["data"]["rows"], &result["data"]["rejected"]),
                (&json!(1), &json!(3)),
                "{what}"
            );
            let text = std::fs::read_to_string(&file).unwrap();
            let keys: Vec<String> = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["key"]["id"].to_string())
                .collect();
            assert_eq!(keys, ["\"2\"", "\"3\"", "\"4\""], "{what}");
        } else {
            // What can be known before is refused before.
            let code = result["error"]["code"].as_str().unwrap();
            assert!(matches!(code, "SCHEMA_MISMATCH" | "CENSUS_LOSS") && status == 4, "{what}");
            assert_eq!(rows, [["4", "44", "own"]], "{what}");
        }
    }
}

/// Columns meet by their names, whatever their order.
#[test]
fn columns_mapped_by_their_position() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, "CREATE TABLE t (a INTEGER, b INTEGER, c VARCHAR(9))");
        source.run("INSERT INTO t VALUES (1, 2, 'c')");
        let target = Db::with(
            to,
            &place,
            "CREATE TABLE t (c VARCHAR(9), extra INTEGER, b INTEGER, a INTEGER)",
        );
        copied(&place, &source, &target, &json!({"mode": "append"}));
        assert_eq!(
            target.query("SELECT a, b, c, extra FROM t"),
            [["1", "2", "c", "NULL"]],
            "{source} to {target}"
        );
    }
}

/// A column that stands with another type takes each value as it is, or none of them.
#[test]
fn values_changed_by_the_type_that_stands() {
    let place = Place::new();
    for (from, to) in pairs() {
        for (declared, value, there) in [
            ("DOUBLE PRECISION", "1.5", "INTEGER"),
            ("DECIMAL(10,4)", "1.2345", "DECIMAL(10,2)"),
            ("VARCHAR(9)", "'007'", "INTEGER"),
            ("VARCHAR(9)", "'1e2'", "DECIMAL(10,2)"),
            ("DECIMAL(20,2)", "12345678901234567.89", "DOUBLE PRECISION"),
            ("BIGINT", "9007199254740993", "DOUBLE PRECISION"),
            ("INTEGER", "5", "DATE"),
            ("TIMESTAMP", "'2024-01-02 03:04:05'", "DATE"),
            ("VARCHAR(9)", "'abc  '", "CHAR(3)"),
        ] {
            let source = Db::with(from, &place, &format!("CREATE TABLE t (v {declared})"));
            source.run(&format!("INSERT INTO t VALUES ({value})"));
            let target = Db::with(to, &place, &format!("CREATE TABLE t (v {there})"));
            let (result, status) = tables(&place, &source, &target, &json!({"mode": "append"}));
            let what =
                format!("{source} to {target}: {declared} {value} in {there}: {}", result["error"]);
            if result["status"] == "ok" {
                let text = target.query("SELECT v FROM t").concat();
                assert_eq!(text, source.query("SELECT v FROM t").concat(), "{what}");
            } else {
                assert_eq!(status, 4, "{what}");
                assert_eq!(target.one("SELECT count(*) FROM t"), "0", "{what}");
            }
            assert_eq!(target.ledgers(), 0, "{what}");
        }
    }
}

/// One bad row of many: nothing of its span is there, the exit status says so, and the row is named.
#[test]
fn one_bad_row_and_the_exit_status() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source =
            Db::with(from, &place, "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9))");
        source.run(&format!(
            "INSERT INTO t VALUES {}",
            values(300, |n| format!("({n}, 'v{}')", n % 299))
        ));
        let target =
            Db::with(to, &place, "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(9) UNIQUE)");
        let result =
            refused(&place, &source, &target, &json!({"mode": "append"}), "ROW_REFUSED", 4);
        assert!(
            result["error"]["message"].as_str().unwrap().contains("id=300"),
            "{source} to {target}: {result:#}"
        );
        assert_eq!(target.one("SELECT count(*) FROM t"), "0");
    }
}

/// Rows whose texts are the same when they are put one behind the other.
#[test]
fn digests_of_texts_without_separators() {
    let place = Place::new();
    for (from, to) in pairs() {
        let define = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(9), b VARCHAR(9));";
        let source = Db::with(
            from,
            &place,
            &format!("{define} INSERT INTO t VALUES (1, 'ab', 'c'), (2, NULL, ''), (3, 'x', 'x')"),
        );
        for (change, key, columns) in [
            ("UPDATE t SET a = 'a', b = 'bc' WHERE id = 1", "1", vec!["a", "b"]),
            ("UPDATE t SET a = '', b = NULL WHERE id = 2", "2", vec!["a", "b"]),
            ("UPDATE t SET a = 'NULL' WHERE id = 2", "2", vec!["a"]),
        ] {
            let target = Db::new(to, &place);
            copied(&place, &source, &target, &json!({}));
            same(&place, &source, &target);
            target.run(change);
            let verify =
                json!({"op": "verify", "id": "v", "src": source.url(), "dst": target.url()});
            let (result, status) = run(&place, &verify);
            assert_eq!(
                (&result["status"], status),
                (&json!("failed"), 4),
                "{source} to {target}: {change}"
            );
            let found = &result["data"]["tables"][0]["differences"];
            assert_eq!(
                found,
                &json!([{"key": key, "what": "changed", "columns": columns}]),
                "{result:#}"
            );
        }
    }
}

/// A comparison sees what only the target has, and two rows that changed places.
#[test]
fn comparisons_of_one_direction_or_of_counts_alone() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::with(from, &place, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)");
        source.run(&format!("INSERT INTO t VALUES {}", values(300, |n| format!("({n}, {n})"))));
        for (change, wanted) in [
            ("INSERT INTO t VALUES (301, 301)", vec![("301", "extra")]),
            ("DELETE FROM t WHERE id = 7", vec![("7", "missing")]),
            ("UPDATE t SET id = 1000 WHERE id = 9", vec![("1000", "extra"), ("9", "missing")]),
        ] {
            let target = Db::new(to, &place);
            copied(&place, &source, &target, &json!({}));
            target.run(change);
            let verify =
                json!({"op": "verify", "id": "v", "src": source.url(), "dst": target.url()});
            let (result, status) = run(&place, &verify);
            assert_eq!(status, 4, "{source} to {target}: {change}");
            let found = result["data"]["tables"][0]["differences"].as_array().unwrap();
            let mut found: Vec<_> = found
                .iter()
                .map(|one| (one["key"].as_str().unwrap(), one["what"].as_str().unwrap()))
                .collect();
            found.sort_unstable();
            assert_eq!(found, wanted, "{source} to {target}: {change}");
        }
    }
}

/// Values that a server makes into others as they are inserted.
#[test]
fn values_that_the_target_writes_anew() {
    let place = Place::new();
    for (from, to) in pairs() {
        let key = match from {
            Engine::Postgres => "id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            Engine::Maria => "id INTEGER AUTO_INCREMENT PRIMARY KEY",
            Engine::Sqlite => "id INTEGER PRIMARY KEY AUTOINCREMENT",
        };
        let source = Db::with(
            from,
            &place,
            &format!(
                "CREATE TABLE t ({key}, v VARCHAR(9) DEFAULT 'default', n INTEGER NOT NULL DEFAULT 5)"
            ),
        );
        let rows = "(id, v, n) VALUES (0, '', 0), (-3, NULL, -1), (1, 'x', 5)";
        source.run(&match from {
            Engine::Postgres => {
                format!("INSERT INTO t (id, v, n) OVERRIDING SYSTEM VALUE {}", &rows[11..])
            }
            Engine::Maria => {
                format!("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'; INSERT INTO t {rows}")
            }
            Engine::Sqlite => format!("INSERT INTO t {rows}"),
        });
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &json!({"verify": "readback"}));
        let rows = target.query("SELECT id, v, n FROM t ORDER BY id");
        assert_eq!(
            rows,
            [["-3", "NULL", "-1"], ["0", "", "0"], ["1", "x", "5"]],
            "{source} to {target}"
        );
        // The next row gets a number of its own.
        target.run("INSERT INTO t (v) VALUES ('next')");
        assert_eq!(
            target.query("SELECT id, n FROM t WHERE v = 'next'"),
            [["2", "5"]],
            "{source} to {target}"
        );
    }
}

/// A row whose first column fills a packet of the wire, and rows behind it.
#[test]
fn first_column_of_sixteen_mebibytes() {
    let place = Place::new();
    for (from, to) in pairs() {
        let (kind, value) = match from {
            Engine::Postgres => ("TEXT", "repeat('x', 17000000)"),
            Engine::Maria => ("LONGTEXT", "repeat('x', 17000000)"),
            Engine::Sqlite => ("TEXT", "replace(hex(zeroblob(8500000)), '0', 'x')"),
        };
        let source =
            Db::with(from, &place, &format!("CREATE TABLE t (v {kind}, id INTEGER PRIMARY KEY)"));
        source.run(&format!("INSERT INTO t VALUES ({value}, 1), ('short', 2), ({value}, 3)"));
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &json!({"parallel_spans": 1}));
        let wanted = [["1", "17000000"], ["2", "5"], ["3", "17000000"]];
        assert_eq!(
            target.query("SELECT id, length(v) FROM t ORDER BY id"),
            wanted,
            "{source} to {target}"
        );
        assert_eq!(target.one("SELECT count(*) FROM t WHERE v LIKE 'xxxx%'"), "2");
    }
}

/// Rows that a policy of the server hides from the reader are no reason for a short copy.
#[test]
fn row_level_security_filters_the_read() {
    if !ENGINES.contains(&Engine::Postgres) {
        return;
    }
    let place = Place::new();
    let source = Db::new(Engine::Postgres, &place);
    let user = format!("reader_{}", std::process::id());
    source.run(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, owner TEXT); INSERT INTO t VALUES (1, 'me'), (2, 'you');\n\
         ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = 'me');\n\
         CREATE ROLE {user} LOGIN; GRANT SELECT ON t TO {user};"
    ));
    let target = Db::new(Engine::Sqlite, &place);
    let command =
        json!({"op": "tables", "id": "t", "src": source.url_as(&user), "dst": target.url()});
    let (result, status) = run(&place, &command);
    source.run(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
    assert_eq!(
        (&result["error"]["code"], status),
        (&json!("DATABASE_PERMISSION"), 4),
        "{result:#}"
    );
    assert_eq!(target.tables().len(), 0);
}

/// An index, a key, a default or a rule that is gone although the rows are right.
#[test]
fn schema_altered_in_silence() {
    let place = Place::new();
    for engine in ENGINES {
        let source = Db::with(
            engine,
            &place,
            "CREATE TABLE p (id INTEGER NOT NULL PRIMARY KEY, u VARCHAR(9) NOT NULL DEFAULT 'x''y');\n\
             CREATE UNIQUE INDEX p_u ON p (u);\n\
             CREATE TABLE c (id INTEGER NOT NULL PRIMARY KEY, p INTEGER, n INTEGER, CONSTRAINT c_fkey1 \
             FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE, CONSTRAINT c_n CHECK (n > 0));\n\
             CREATE INDEX c_p_n ON c (p, n DESC);\n\
             INSERT INTO p VALUES (1, 'a'); INSERT INTO c VALUES (1, 1, 5), (2, NULL, NULL);",
        );
        let target = Db::new(engine, &place);
        copied(&place, &source, &target, &json!({"verify": "readback"}));
        assert_eq!(crate::schema(&place, &target), crate::schema(&place, &source), "{source}");
        target.run("INSERT INTO p (id) VALUES (2)");
        assert_eq!(target.one("SELECT u FROM p WHERE id = 2"), "x'y");
        for refused in ["INSERT INTO p VALUES (3, 'a')", "INSERT INTO c VALUES (3, 1, 0)"] {
            let counts = "SELECT (SELECT count(*) FROM p), (SELECT count(*) FROM c)";
            let before = target.query(counts);
            assert!(
                std::panic::catch_unwind(|| target.run(refused)).is_err(),
                "{target}: {refused}"
            );
            assert_eq!(target.query(counts), before);
        }
        let pragma = if engine == Engine::Sqlite { "PRAGMA foreign_keys = ON; " } else { "" };
        target.run(&format!("{pragma}DELETE FROM p WHERE id = 1"));
        assert_eq!(target.query("SELECT id FROM c"), [["2"]], "{target}");
    }
}

/// Rows that point nowhere are told; the rows stay where they are.
#[test]
fn orphans_of_foreign_keys() {
    let place = Place::new();
    for (from, to) in pairs() {
        let source = Db::new(from, &place);
        let off = match from {
            Engine::Postgres => "SET session_replication_role = replica; ",
            Engine::Maria => "SET foreign_key_checks = 0; ",
            Engine::Sqlite => "PRAGMA foreign_keys = OFF; ",
        };
        source.run(&format!(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, \
             FOREIGN KEY (p) REFERENCES p (id));\n{off}INSERT INTO c VALUES (1, 7)"
        ));
        let target = Db::new(to, &place);
        let (result, status) = tables(&place, &source, &target, &json!({}));
        assert_eq!(status, 4, "{source} to {target}: {result:#}");
        assert!(result["error"]["at"]["path"].as_str().unwrap().contains('c'), "{result:#}");
        assert_eq!(target.ledgers(), 0, "{source} to {target}");
    }
}
