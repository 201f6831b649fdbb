//! Rates of rows, and replicas that must not be left behind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs};
use crate::session::{Place, Session};
use crate::{copied, refused};

fn many(engine: Engine, place: &Place, count: u32) -> Db {
    let rows: Vec<String> = (0..count).map(|id| format!("({id}, 'v{id}')")).collect();
    let seed = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES {};",
        rows.join(",")
    );
    Db::with(engine, place, &seed)
}

/// 600 rows by 200 each second take three seconds, less what is let through at first.
#[test]
fn rows_come_no_faster_than_they_may() {
    let place = crate::place();
    for (from, to) in pairs().filter(|(from, to)| from != to || *from == Engine::Postgres) {
        let (source, target) = (many(from, &place, 600), Db::new(to, &place));
        let since = Instant::now();
        let result = copied(&place, &source, &target, &json!({"limits": {"rows_per_s": 200}}));
        let took = since.elapsed();
        assert!(took > Duration::from_millis(2300), "{source} to {target}: {took:?}");
        assert!(result["metrics"]["throttled_ms"].as_u64().unwrap() > 1500, "{result:#}");
        assert_eq!(target.one("SELECT count(*) FROM t"), "600");
    }
}

/// The bound is lifted while it is waited for: without that the copy would take 100 minutes.
#[test]
fn a_rate_of_rows_is_changed_while_it_is_waited_for() {
    let place = crate::place();
    let (source, target) = (many(Engine::Sqlite, &place, 6000), Db::new(Engine::Sqlite, &place));
    let mut session = Session::start(&place, &[]);
    session.send(&json!({
        "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
        "limits": {"rows_per_s": 1},
    }));
    let slow = session.until(|line| line["type"] == "progress" && !line["throttled"].is_null());
    assert_eq!(slow["throttled"]["by"], "rows_per_s", "{slow}");
    let change = json!({"op": "limits", "id": "l", "target": "t", "rows_per_s": null});
    let answer = session.call(&change);
    assert_eq!(answer["data"]["rows_per_s"], Value::Null, "{answer}");
    assert_eq!(session.result("t")["status"], "ok");
    assert_eq!(target.one("SELECT count(*) FROM t"), "6000");
}

#[test]
fn a_rate_of_none_is_refused() {
    let place = crate::place();
    let (source, target) = (many(Engine::Sqlite, &place, 1), Db::new(Engine::Sqlite, &place));
    let fields = json!({"limits": {"rows_per_s": 0}});
    let result = refused(&place, &source, &target, &fields, "INVALID_FIELD", 2);
    assert_eq!(result["error"]["at"]["field"], "limits.rows_per_s");
}

/// Without replicas nothing waits; who cannot tell of replicas is refused before anything is made.
#[test]
fn replicas_are_asked_for_where_the_engine_knows_them() {
    let place = crate::place();
    let source = many(Engine::Sqlite, &place, 10);
    for engine in ENGINES {
        let target = Db::new(engine, &place);
        let fields = json!({"replica_lag_s": 5});
        if engine == Engine::Postgres {
            copied(&place, &source, &target, &fields);
            continue;
        }
        let result = refused(&place, &source, &target, &fields, "UNSUPPORTED", 4);
        assert_eq!(result["error"]["at"]["field"], "replica_lag_s");
        assert!(result["error"]["hint"].as_str().unwrap().contains("rows_per_s"), "{result:#}");
    }
}
