//! Values that are too large for the memory there is, and tables that are long: neither kills the
//! engine, and neither takes more memory than it may.

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs};
use crate::session::{Place, Session};
use crate::{copied, tables};

/// The memory cap where nobody says, bytes.
const CAP: u64 = 256 << 20;

fn peak(result: &Value) -> u64 {
    result["metrics"]["peak_rss_bytes"].as_u64().unwrap()
}

/// A table with a value of 256 MiB, or of what the engine lets anybody make: a packet of MariaDB's here is
/// 64 MiB.
fn huge(engine: Engine, place: &Place) -> Db {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, v";
    let sql = match engine {
        Engine::Postgres => format!(
            "{table} text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL; INSERT INTO t VALUES \
             (1, 'small'), (2, repeat('x', 268435456));"
        ),
        Engine::Maria => format!(
            "{table} LONGTEXT); INSERT INTO t VALUES (1, 'small'), (2, repeat('x', 60000000));"
        ),
        Engine::Sqlite => {
            format!("{table} BLOB); INSERT INTO t VALUES (1, x'00'), (2, zeroblob(268435456));")
        }
    };
    Db::with(engine, place, &sql)
}

#[test]
fn a_value_larger_than_its_memory_is_refused_and_kills_nothing() {
    for from in ENGINES {
        let place = Place::new();
        let source = huge(from, &place);
        for to in ENGINES {
            let target = Db::new(to, &place);
            let mut session = Session::start(&place, &[]);
            let result = session.call(&json!({
                "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
                "policy": {"default": "fail"},
            }));
            let told = format!("{source} to {target}: {result:#}");
            let code = result["error"]["code"].as_str().unwrap_or_default();
            assert!(matches!(code, "ROW_TOO_LARGE" | "CENSUS_LOSS"), "{told}");
            assert!(peak(&result) < CAP, "{told}");
            // It lives, and goes on with what fits.
            let again = session.call(&json!({
                "op": "tables", "id": "again", "src": source.url(), "dst": target.url(),
                "where": {"t": "id = 1"},
            }));
            assert_eq!(again["status"], "ok", "{source} to {target}: {again:#}");
            session.end();
            assert_eq!(
                (target.one("SELECT count(*) FROM t"), target.ledgers()),
                ("1".to_owned(), 0)
            );
        }
    }
}

/// With the memory for it, a value crosses that a fourth part of the usual one could not hold.
#[test]
fn a_large_value_crosses_where_there_is_memory_for_it() {
    let place = Place::new();
    let source = Db::with(
        Engine::Postgres,
        &place,
        "CREATE TABLE t (id integer PRIMARY KEY, v text); \
         INSERT INTO t VALUES (1, repeat('x', 12000000) || 'end');",
    );
    for to in ENGINES {
        let target = Db::new(to, &place);
        let mut session = Session::start(&place, &["--memory-cap", "512MiB"]);
        let result = session.call(&json!({
            "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
            "parallel_spans": 1,
        }));
        assert_eq!(result["status"], "ok", "{source} to {target}: {result:#}");
        assert!(peak(&result) < 2 * CAP, "{source} to {target}: {result:#}");
        session.end();
        assert_eq!(target.one("SELECT length(v) FROM t"), "12000003", "{source} to {target}");
        assert_eq!(target.one("SELECT count(*) FROM t WHERE v LIKE '%xend'"), "1");
    }
}

fn long(engine: Engine, place: &Place, rows: u32) -> Db {
    let db = Db::with(engine, place, "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(60))");
    db.run(&match engine {
        Engine::Postgres => format!(
            "INSERT INTO t SELECT n, repeat('v', 40) || n FROM generate_series(1, {rows}) n"
        ),
        Engine::Maria => {
            format!("INSERT INTO t SELECT seq, concat(repeat('v', 40), seq) FROM seq_1_to_{rows}")
        }
        Engine::Sqlite => format!(
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) \
             INSERT INTO t SELECT n, printf('%040d', n) || n FROM s"
        ),
    });
    db
}

/// Eight times the rows take the same memory.
#[test]
fn memory_does_not_grow_with_the_rows_of_a_table() {
    let place = crate::place();
    let chosen = |(from, to): &(Engine, Engine)| from != to || *from == Engine::Postgres;
    for (from, to) in pairs().filter(chosen) {
        let peaks = [20_000, 160_000].map(|rows| {
            let (source, target) = (long(from, &place, rows), Db::new(to, &place));
            let fields = json!({"span_rows": 10_000});
            let result = copied(&place, &source, &target, &fields);
            assert_eq!(target.one("SELECT count(*) FROM t"), rows.to_string());
            peak(&result)
        });
        let told = format!("{from:?} to {to:?}: {peaks:?}");
        assert!(peaks[1] < CAP && peaks[1] < peaks[0] + (24 << 20), "{told}");
    }
}

/// A cap that is less than the usual one holds too.
#[test]
fn a_small_cap_is_kept() {
    let place = crate::place();
    let (source, target) = (long(Engine::Postgres, &place, 60_000), Db::new(Engine::Maria, &place));
    let mut session = Session::start(&place, &["--memory-cap", "96MiB"]);
    let result = session.call(&json!({
        "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
    }));
    assert_eq!(result["status"], "ok", "{result:#}");
    assert!(peak(&result) < 96 << 20, "{result:#}");
    session.end();
    let (result, _) = tables(&place, &source, &target, &json!({"mode": "replace"}));
    assert_eq!(result["status"], "ok", "{result:#}");
}
