//! Rates of rows, and replicas that must not be left behind.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, pairs, server};
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

/// Makes a replica of the server in a directory, and becomes it.
const REPLICA: &str = r#"set -e
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
as=()
if [[ $(id -u) -eq 0 ]]; then
  chown postgres "$1"
  as=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
cd "$1"
"${as[@]}" "$bin/pg_basebackup" -h "$2" -p "$3" -U postgres -D "$1/db" -R -X stream -c fast --no-sync
exec "${as[@]}" "$bin/postgres" -D "$1/db" -c "port=$4" -c unix_socket_directories= -c ssl=off
"#;

/// A replica, gone with this.
struct Replica {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Replica {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = server("TEST_PG_URL");
        let (host, at) = server.split_once(':').unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", REPLICA, "replica"]).arg(dir.path()).args([host, at]);
        let child = command.arg(port.to_string()).stderr(Stdio::null()).spawn().unwrap();
        let replica = Self { child, port, _dir: dir };
        let since = Instant::now();
        while !replica.says("SELECT pg_is_in_recovery()") {
            assert!(since.elapsed() < Duration::from_secs(100), "the replica does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
        replica
    }

    fn says(&self, sql: &str) -> bool {
        let mut command = Command::new("psql");
        command.args(["-XqAt", "-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        let output = command.args(["-c", sql, "postgres"]).output().unwrap();
        output.status.success()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let stopped = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        drop(stopped.and_then(|_| self.child.wait()));
    }
}

/// A replica that stands still holds the rows back, and the progress says so, until it goes on.
#[test]
fn rows_wait_for_a_replica_that_is_behind() {
    let place = crate::place();
    let replica = Replica::new();
    let (source, target) = (many(Engine::Sqlite, &place, 4000), Db::new(Engine::Postgres, &place));
    assert!(replica.says("SELECT pg_wal_replay_pause()"));
    let mut session = Session::start(&place, &[]);
    session.send(&json!({
        "op": "tables", "id": "t", "src": source.url(), "dst": target.url(), "replica_lag_s": 1,
        "span_rows": 100, "parallel_spans": 2, "limits": {"rows_per_s": 500},
    }));
    let held =
        session.until(|line| line["type"] == "result" || line["throttled"]["by"] == "replica_lag");
    assert_eq!(held["type"], "progress", "{held:#}");
    assert!(target.one("SELECT count(*) FROM t").parse::<u32>().unwrap() < 4000);
    let lift = json!({"op": "limits", "id": "l", "target": "t", "rows_per_s": null});
    session.send(&lift);
    assert!(replica.says("SELECT pg_wal_replay_resume()"));
    let result = session.result("t");
    assert_eq!((&result["status"], &result["warnings_total"]), (&json!("ok"), &json!(1)));
    assert_eq!(target.one("SELECT count(*) FROM t"), "4000");
}
