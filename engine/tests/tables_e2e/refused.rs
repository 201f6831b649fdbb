//! Servers and files that refuse: each by its own code, hint and exit status, with nothing half-made
//! left behind.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use migration_fixtures::Mounted;
use serde_json::{Value, json};

use crate::db::{Db, ENGINES, Engine, server};
use crate::session::{Place, Session};
use crate::{refused, run};

const SEED: &str =
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'one')";

/// The engines that are servers.
fn servers() -> impl Iterator<Item = Engine> {
    ENGINES.into_iter().filter(|engine| *engine != Engine::Sqlite)
}

/// A copy from one location to another, with the passwords that tests know in its environment.
fn between(place: &Place, src: &Value, dst: &Value) -> (Value, i32) {
    let command = json!({"op": "tables", "id": "t", "src": src, "dst": dst});
    let mut session = Session::start_with(place, &[], |engine| {
        engine.env("RIGHT", "the-right-one").env("WRONG", "the-wrong-one")
    });
    let result = session.call(&command);
    let (status, lines) = session.end();
    let all = format!("{lines:?}");
    assert!(!all.contains("the-right-one") && !all.contains("the-wrong-one"), "{all}");
    (result, status)
}

fn check(what: &str, (result, status): &(Value, i32), code: &str, exit: i32) {
    let error = &result["error"];
    assert_eq!((&error["code"], status), (&json!(code), &exit), "{what}: {result:#}");
    assert!(
        error["hint"].as_str().is_some_and(|hint| !hint.is_empty()),
        "{what}: no hint: {error}"
    );
}

/// A user of the server, gone at the end.
struct User {
    engine: Engine,
    name: String,
    admin: Db,
}

impl User {
    fn new(place: &Place, engine: Engine, rights: &str) -> Self {
        let admin = Db::new(engine, place);
        let name = format!("u_{}_{}", std::process::id(), admin.name.rsplit('_').next().unwrap());
        let user = Self { engine, name, admin };
        let name = &user.name;
        user.admin.run(&match engine {
            Engine::Postgres => {
                format!("DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN PASSWORD 'the-right-one' {rights}")
            }
            _ => format!("CREATE OR REPLACE USER {name} IDENTIFIED BY 'the-right-one'"),
        });
        user
    }

    fn grant(&self, db: &Db, rights: &str) {
        db.run(&match self.engine {
            Engine::Postgres => format!("GRANT {rights} TO {}", self.name),
            _ => format!("GRANT {rights} TO {}", self.name),
        });
    }

    fn location(&self, db: &Db, variable: &str) -> Value {
        json!({"url": db.url_as(&self.name), "auth": {"password": {"env": variable}}})
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.admin.run(&match self.engine {
            Engine::Postgres => format!("DROP ROLE {}", self.name),
            _ => format!("DROP USER {}", self.name),
        });
    }
}

#[test]
fn a_wrong_password() {
    let place = crate::place();
    for engine in servers() {
        let user = User::new(&place, engine, "IN ROLE scram");
        let (source, lite) = (Db::with(engine, &place, SEED), Db::new(Engine::Sqlite, &place));
        let told = between(&place, &user.location(&source, "WRONG"), &json!(lite.url()));
        check("source", &told, "CREDENTIALS_REFUSED", 4);
        assert_eq!(told.0["error"]["at"]["field"], "src");
        let seed = Db::with(Engine::Sqlite, &place, SEED);
        let told = between(&place, &json!(seed.url()), &user.location(&source, "WRONG"));
        check("target", &told, "CREDENTIALS_REFUSED", 4);
        assert_eq!(told.0["error"]["at"]["field"], "dst");
        assert_eq!((lite.tables().len(), source.tables().len(), source.ledgers()), (0, 1, 0));
        let none = json!({"url": source.url_as(&user.name)});
        let told = between(&place, &none, &json!(lite.url()));
        let code = told.0["error"]["code"].as_str().unwrap();
        assert!(matches!(code, "CREDENTIALS_MISSING" | "CREDENTIALS_REFUSED"), "{:#}", told.0);
    }
}

#[test]
fn a_database_that_is_not_there() {
    let place = crate::place();
    let seed = Db::with(Engine::Sqlite, &place, SEED);
    for engine in servers() {
        let there = Db::new(engine, &place);
        let gone = there.url().replace(&there.name, "no_such_database");
        check(
            "source",
            &between(&place, &json!(gone), &json!(seed.url())),
            "DATABASE_NOT_FOUND",
            4,
        );
        check(
            "target",
            &between(&place, &json!(seed.url()), &json!(gone)),
            "DATABASE_NOT_FOUND",
            4,
        );
    }
    let gone = format!("sqlite://{}", place.path("none.db").display());
    check("source", &between(&place, &json!(gone), &json!(seed.url())), "DATABASE_NOT_FOUND", 4);
    assert!(!place.path("none.db").exists(), "a source is made by nobody");
    let gone = format!("sqlite://{}", place.path("none/none.db").display());
    check("target", &between(&place, &json!(seed.url()), &json!(gone)), "DATABASE_NOT_FOUND", 4);
    std::fs::write(place.path("text"), "this is no database, but a text of some length".repeat(99))
        .unwrap();
    let text = format!("sqlite://{}", place.path("text").display());
    for (src, dst) in [(&text, &seed.url()), (&seed.url(), &text)] {
        check("text", &between(&place, &json!(src), &json!(dst)), "DATABASE_NOT_FOUND", 4);
    }
}

#[test]
fn a_target_that_is_read_only() {
    let place = crate::place();
    let seed = Db::with(Engine::Sqlite, &place, SEED);
    for engine in ENGINES {
        let target = Db::with(engine, &place, "CREATE TABLE own (id INTEGER)");
        match engine {
            Engine::Postgres => {
                let name = &target.name;
                target
                    .run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
            }
            // A version of the format that the library reads and does not write.
            Engine::Sqlite => {
                let mut bytes = std::fs::read(target.path()).unwrap();
                bytes[18] = 3;
                std::fs::write(target.path(), bytes).unwrap();
            }
            // Its switch is that of the whole server, where other tests write.
            Engine::Maria => continue,
        }
        let told = run(
            &place,
            &json!({"op": "tables", "id": "t", "src": seed.url(), "dst": target.url()}),
        );
        check(&target.to_string(), &told, "DST_READ_ONLY", 4);
        assert_eq!((target.tables(), target.ledgers()), (vec!["own".to_owned()], 0));
        if engine == Engine::Postgres {
            target.run("SET default_transaction_read_only = off; SELECT 1");
        }
    }
}

#[test]
fn a_user_who_may_not_read() {
    let place = crate::place();
    let lite = Db::new(Engine::Sqlite, &place);
    for engine in servers() {
        let user = User::new(&place, engine, "");
        let source = Db::with(engine, &place, SEED);
        source.run("CREATE TABLE secret (id INTEGER PRIMARY KEY); INSERT INTO secret VALUES (1)");
        if engine == Engine::Maria {
            // It may see every table, and read but one.
            user.grant(&source, &format!("INSERT ON {}.*", source.name));
        }
        user.grant(&source, "SELECT ON t");
        let told = between(&place, &user.location(&source, "RIGHT"), &json!(lite.url()));
        check("source", &told, "DATABASE_PERMISSION", 4);
        assert_eq!((lite.tables().len(), lite.ledgers()), (0, 0));
        match engine {
            Engine::Postgres => source.run(&format!("DROP OWNED BY {}", user.name)),
            _ => source.run(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}", user.name)),
        }
    }
}

#[test]
fn a_user_who_may_not_write() {
    let place = crate::place();
    let seed = Db::with(Engine::Sqlite, &place, SEED);
    for engine in servers() {
        let user = User::new(&place, engine, "");
        let target = Db::with(engine, &place, "CREATE TABLE own (id INTEGER)");
        match engine {
            Engine::Postgres => {
                user.grant(&target, &format!("CONNECT ON DATABASE {}", target.name))
            }
            _ => user.grant(&target, &format!("SELECT ON {}.*", target.name)),
        }
        let told = between(&place, &json!(seed.url()), &user.location(&target, "RIGHT"));
        check(&target.to_string(), &told, "DATABASE_PERMISSION", 4);
        assert_eq!((target.tables(), target.ledgers()), (vec!["own".to_owned()], 0));
        match engine {
            Engine::Postgres => target.run(&format!("DROP OWNED BY {}", user.name)),
            _ => target.run(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {}", user.name)),
        }
    }
}

/// Which file holds the authority of a server, and which one that of another.
fn authorities(engine: Engine) -> (String, String) {
    let of = |variable| std::env::var(variable).unwrap();
    match engine {
        Engine::Postgres => (of("TEST_PG_CA"), of("TEST_MARIA_CA")),
        _ => (of("TEST_MARIA_CA"), of("TEST_PG_CA")),
    }
}

#[test]
fn a_certificate_that_is_not_trusted() {
    let place = crate::place();
    for engine in servers() {
        let (source, lite) = (Db::with(engine, &place, SEED), Db::new(Engine::Sqlite, &place));
        let (right, wrong) = authorities(engine);
        let told =
            between(&place, &json!({"url": source.url(), "tls_ca": wrong}), &json!(lite.url()));
        check("wrong", &told, "TLS_REFUSED", 4);
        assert_eq!(lite.tables().len(), 0);
        let told =
            between(&place, &json!({"url": source.url(), "tls_ca": right}), &json!(lite.url()));
        assert_eq!((&told.0["status"], told.1), (&json!("ok"), 0), "{:#}", told.0);
    }
}

#[test]
fn a_full_disk() {
    let place = crate::place();
    let seed = Db::with(Engine::Sqlite, &place, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    seed.run(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) \
         INSERT INTO t SELECT i, hex(zeroblob(500)) FROM n",
    );
    let at = place.path("small");
    std::fs::create_dir(&at).unwrap();
    let disk = Mounted::bare(&at, "tmpfs");
    let resized =
        std::process::Command::new("mount").args(["-o", "remount,size=1M"]).arg(&at).status();
    assert!(resized.unwrap().success());
    let file = disk.path().join("t.db");
    let target =
        Db { engine: Engine::Sqlite, name: file.to_str().unwrap().to_owned(), user: String::new() };
    target.run("CREATE TABLE own (id INTEGER)");
    // What a span that failed gives back is room for the journal of the removal.
    let told = run(
        &place,
        &json!({"op": "tables", "id": "t", "src": seed.url(), "dst": target.url(), "span_rows": 400}),
    );
    check("sqlite", &told, "DST_NO_SPACE", 75);
    assert_eq!(target.ledgers(), 0, "{:#}", told.0);
    assert_eq!(target.tables(), ["own"], "a half table is left: {:#}", told.0);
}

/// Nobody listens; somebody hangs up; somebody talks nonsense; a server of long ago.
#[test]
fn servers_that_are_none() {
    let place = crate::place();
    let lite = Db::new(Engine::Sqlite, &place);
    for engine in servers() {
        let scheme = if engine == Engine::Postgres { "postgres" } else { "mysql" };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let free = listener.local_addr().unwrap().port();
        drop(listener);
        let old: &[u8] = match engine {
            // Logged in, and a version of 2014.
            Engine::Postgres => b"R\0\0\0\x08\0\0\0\0S\0\0\0\x1aserver_version\09.4.26\0Z\0\0\0\x05I",
            // A greeting of version 5.0, protocol 10.
            _ => b"\x38\0\0\0\x0a5.0.96-log\0\x01\0\0\0abcdefgh\0\x0c\xa2\x21\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0",
        };
        for (what, port, code, exit) in [
            ("nobody", free, "REMOTE_UNAVAILABLE", 75),
            ("nonsense", answering(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "REMOTE_ANSWER", 75),
            ("old", answering(old), "DATABASE_VERSION", 4),
        ] {
            let src = json!(format!("{scheme}://me@127.0.0.1:{port}/db"));
            let told = between(&place, &src, &json!(lite.url()));
            check(&format!("{engine:?}: {what}"), &told, code, exit);
            assert_eq!(lite.tables().len(), 0);
        }
    }
}

/// A server that gives every caller the same bytes, and then reads until he goes.
fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                // PostgreSQL's clients speak first, MySQL's wait.
                if bytes.starts_with(b"R") {
                    let _ = stream.read(&mut buffer);
                }
                let _ = stream.write_all(bytes);
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
            });
        }
    });
    port
}

#[test]
fn locations_that_say_too_much() {
    let place = crate::place();
    let lite = Db::with(Engine::Sqlite, &place, SEED);
    let pg = server("TEST_PG_URL");
    for (url, engine) in [
        (format!("postgres://me:secret@{pg}/db"), Engine::Postgres),
        (format!("mysql://me:secret@{pg}/db"), Engine::Maria),
        (format!("postgres://me@{pg}/db?sslmode=disable"), Engine::Postgres),
        (format!("mysql://me@{pg}/db?local_infile=1"), Engine::Maria),
        (format!("{}?mode=ro", lite.url()), Engine::Sqlite),
    ] {
        if !ENGINES.contains(&engine) {
            continue;
        }
        let told = between(&place, &json!(url), &json!(lite.url()));
        assert_eq!(told.0["error"]["code"], "INVALID_FIELD", "{url}: {:#}", told.0);
        assert!(
            told.0["error"]["at"]["field"].as_str().unwrap().starts_with("src"),
            "{:#}",
            told.0
        );
        assert!(!told.0.to_string().contains("secret"), "{:#}", told.0);
    }
    assert_eq!(lite.tables(), ["t"]);
}

/// A copy of a database onto itself would read what it writes.
#[test]
fn a_table_onto_itself() {
    let place = crate::place();
    for engine in ENGINES {
        let db = Db::with(engine, &place, SEED);
        for mode in ["replace", "append", "merge"] {
            refused(&place, &db, &db, &json!({"mode": mode}), "OVERLAP", 4);
            assert_eq!(db.query("SELECT id, v FROM t"), [["1", "one"]], "{db}: {mode}");
        }
    }
}
