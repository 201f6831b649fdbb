//! Locks that others hold, statements that take too long: a job waits for neither for ever, and keeps
//! nobody waiting behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine};
use crate::session::Session;
use crate::{copied, refused, run, tables};

const SEED: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20));\n\
    INSERT INTO t VALUES (1, 'one');\n\
    CREATE TABLE other (id INTEGER PRIMARY KEY); INSERT INTO other VALUES (7);";

/// A session of somebody else's, which holds what its statements took until it is dropped.
enum Holder {
    Server(Child),
    File { _session: rusqlite::Connection },
}

impl Holder {
    fn new(db: &Db, sql: &str) -> Self {
        if db.engine == Engine::Sqlite {
            let session = rusqlite::Connection::open(&db.name).unwrap();
            session.execute_batch(sql).unwrap();
            return Self::File { _session: session };
        }
        let mut command = db.command();
        if db.engine == Engine::Maria {
            command.arg("--unbuffered");
        }
        command.arg(&db.name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.as_mut().unwrap();
        writeln!(input, "{sql}\nSELECT 'held';").unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "held"), "{db}: {sql}");
        Self::Server(child)
    }

    /// Keeps everybody from a table.
    fn of_all(db: &Db) -> Self {
        Self::new(
            db,
            match db.engine {
                Engine::Postgres => "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE;",
                Engine::Maria => "LOCK TABLES t WRITE;",
                Engine::Sqlite => "BEGIN EXCLUSIVE;",
            },
        )
    }

    /// Keeps everybody from changing a table, and nobody from reading it.
    fn of_shape(db: &Db) -> Self {
        Self::new(
            db,
            match db.engine {
                Engine::Postgres => "BEGIN; SELECT count(*) FROM t;",
                Engine::Maria => "START TRANSACTION; SELECT count(*) FROM t;",
                Engine::Sqlite => "BEGIN IMMEDIATE;",
            },
        )
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Self::Server(child) = self {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

fn hint(result: &Value) -> &str {
    result["error"]["hint"].as_str().unwrap_or_default()
}

/// Whom to look for is in the hint, by the words of each engine.
fn names_the_holder(db: &Db, result: &Value) {
    let word = match db.engine {
        Engine::Postgres => "pg_stat_activity",
        Engine::Maria => "PROCESSLIST",
        Engine::Sqlite => "fuser",
    };
    assert!(hint(result).contains(word), "{db}: {result:#}");
}

#[test]
fn a_table_that_another_session_holds_is_not_waited_for_for_ever() {
    let place = crate::place();
    for engine in ENGINES {
        let source = Db::with(Engine::Sqlite, &place, SEED);
        let target = Db::with(engine, &place, SEED);
        let holder = Holder::of_shape(&target);
        let fields = json!({"mode": "replace", "include": ["t"], "lock_timeout_s": 2});
        let since = Instant::now();
        let result = refused(&place, &source, &target, &fields, "LOCKED", 75);
        assert!(since.elapsed() < Duration::from_secs(30), "{target}: {:?}", since.elapsed());
        names_the_holder(&target, &result);
        if engine != Engine::Sqlite {
            // Another job on the same database goes on meanwhile.
            let fields =
                json!({"mode": "append", "include": ["other"], "rename": {"other": "new"}});
            copied(&place, &source, &target, &fields);
        }
        drop(holder);
        assert_eq!(target.query("SELECT id, v FROM t"), [["1", "one"]], "{target}");
        copied(&place, &source, &target, &json!({"mode": "replace", "include": ["t"]}));
    }
}

/// A statement that waits for a table keeps all who come later waiting: not for longer than a turn.
#[test]
fn whoever_comes_later_does_not_wait_for_the_whole_patience() {
    let place = crate::place();
    for engine in [Engine::Postgres, Engine::Maria] {
        let source = Db::with(Engine::Sqlite, &place, SEED);
        let target = Db::with(engine, &place, SEED);
        let _holder = Holder::of_shape(&target);
        let mut session = Session::start(&place, &[]);
        session.send(&json!({
            "op": "tables", "id": "t", "src": source.url(), "dst": target.url(),
            "mode": "replace", "include": ["t"], "lock_timeout_s": 20,
        }));
        let waiting = match engine {
            Engine::Postgres => "SELECT count(*) FROM pg_locks WHERE NOT granted",
            _ => {
                "SELECT count(*) FROM information_schema.processlist \
                 WHERE state LIKE 'Waiting for table metadata lock%' AND db = DATABASE()"
            }
        };
        let since = Instant::now();
        while target.one(waiting) == "0" {
            assert!(since.elapsed() < Duration::from_secs(30), "{target}: nobody waits");
            std::thread::sleep(Duration::from_millis(50));
        }
        let since = Instant::now();
        assert_eq!(target.one("SELECT count(*) FROM t"), "1");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(10), "{target}: a reader waited {took:?}");
        session.send(&json!({"op": "cancel", "id": "c", "target": "t"}));
        assert_eq!(session.result("t")["status"], "cancelled");
        session.end();
        assert_eq!((target.tables().len(), target.ledgers()), (2, 0), "{target}");
    }
}

#[test]
fn a_table_that_nobody_may_read_is_not_waited_for_for_ever() {
    let place = crate::place();
    for engine in ENGINES {
        let source = Db::with(engine, &place, SEED);
        let target = Db::new(Engine::Sqlite, &place);
        let holder = Holder::of_all(&source);
        let fields = json!({"include": ["t"], "lock_timeout_s": 1});
        let result = refused(&place, &source, &target, &fields, "LOCKED", 75);
        names_the_holder(&source, &result);
        if engine == Engine::Postgres {
            copied(&place, &source, &target, &json!({"include": ["other"], "lock_timeout_s": 5}));
        }
        drop(holder);
        copied(&place, &source, &target, &json!({"include": ["t"]}));
    }
}

#[test]
fn a_statement_takes_no_longer_than_it_may() {
    let place = crate::place();
    for (engine, slow) in
        [(Engine::Postgres, "pg_sleep(4) IS NOT NULL"), (Engine::Maria, "sleep(4) = 0")]
    {
        let source = Db::with(engine, &place, SEED);
        let target = Db::new(Engine::Sqlite, &place);
        let fields = json!({"include": ["t"], "where": {"t": slow}, "statement_timeout_s": 1});
        let (result, status) = tables(&place, &source, &target, &fields);
        assert_eq!(
            (&result["error"]["code"], status),
            (&json!("REMOTE_TIMEOUT"), 75),
            "{source}: {result:#}"
        );
        assert!(hint(&result).contains("statement_timeout_s"), "{source}: {result:#}");
        assert_eq!((target.tables().len(), target.ledgers()), (0, 0), "{source}");
    }
}

/// What a server would end by its own settings, it does not end for a migration.
#[test]
fn settings_of_the_server_end_no_long_statement() {
    let place = crate::place();
    let source = Db::with(Engine::Postgres, &place, SEED);
    source.run(&format!(
        "ALTER DATABASE {0} SET statement_timeout = '400ms'; \
         ALTER DATABASE {0} SET idle_in_transaction_session_timeout = '400ms'",
        source.name
    ));
    let fields = json!({"include": ["t"], "where": {"t": "pg_sleep(1) IS NOT NULL"}});
    for to in [Engine::Sqlite, Engine::Postgres] {
        let target = Db::new(to, &place);
        copied(&place, &source, &target, &fields);
    }
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let place = crate::place();
    let source = Db::with(Engine::Sqlite, &place, SEED);
    let target = Db::new(Engine::Sqlite, &place);
    for (field, value) in [
        ("lock_timeout_s", json!(0)),
        ("lock_timeout_s", json!(86_401)),
        ("statement_timeout_s", json!(0)),
    ] {
        let command = json!({
            "op": "tables", "id": "t", "src": source.url(), "dst": target.url(), field: value,
        });
        let (result, status) = run(&place, &command);
        assert_eq!((&result["error"]["code"], status), (&json!("INVALID_FIELD"), 2), "{result:#}");
        assert_eq!(result["error"]["at"]["field"], field);
    }
}
