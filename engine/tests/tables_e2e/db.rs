//! Databases of tests, spoken to by the programs and the library of their own makers.

use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::types::ValueRef;

use crate::session::Place;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Maria,
    Sqlite,
}

/// All engines.
pub const ENGINES: [Engine; 3] = [Engine::Postgres, Engine::Maria, Engine::Sqlite];

/// Every engine to every engine.
pub fn pairs() -> impl Iterator<Item = (Engine, Engine)> {
    ENGINES.into_iter().flat_map(|from| ENGINES.into_iter().map(move |to| (from, to)))
}

/// Where a server listens, as `host:port`.
pub fn server(variable: &str) -> String {
    let hint = "start the servers with scripts/services.sh up, and eval what its env prints";
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("no {variable} in the environment: {hint}"));
    let rest = url.split('@').nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// A database of its own, which is gone with it.
pub struct Db {
    pub engine: Engine,
    /// Its name at the server, or its file.
    pub name: String,
    /// Who logs in.
    pub user: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Db {
    /// An empty one.
    pub fn new(engine: Engine, place: &Place) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e_{}_{number}", std::process::id());
        match engine {
            Engine::Sqlite => {
                let path = place.path(&format!("{name}.db"));
                rusqlite::Connection::open(&path).unwrap();
                let name = path.to_str().unwrap().to_owned();
                Self { engine, name, user: String::new() }
            }
            Engine::Postgres => {
                let admin =
                    Self { engine, name: "postgres".to_owned(), user: "postgres".to_owned() };
                admin.run(&format!("DROP DATABASE IF EXISTS {name};\nCREATE DATABASE {name};"));
                std::mem::forget(admin);
                Self { engine, name, user: "postgres".to_owned() }
            }
            Engine::Maria => {
                let admin = Self { engine, name: "mysql".to_owned(), user: "root".to_owned() };
                admin.run(&format!("CREATE OR REPLACE DATABASE {name} CHARACTER SET utf8mb4"));
                std::mem::forget(admin);
                Self { engine, name, user: "root".to_owned() }
            }
        }
    }

    /// One with this content.
    pub fn with(engine: Engine, place: &Place, sql: &str) -> Self {
        let db = Self::new(engine, place);
        db.run(sql);
        db
    }

    /// Its location.
    pub fn url(&self) -> String {
        self.url_as(&self.user)
    }

    /// Its location for another user.
    pub fn url_as(&self, user: &str) -> String {
        match self.engine {
            Engine::Sqlite => format!("sqlite://{}", self.name),
            Engine::Postgres => {
                format!("postgres://{user}@{}/{}", server("TEST_PG_URL"), self.name)
            }
            Engine::Maria => format!("mysql://{user}@{}/{}", server("TEST_MARIA_URL"), self.name),
        }
    }

    /// Runs statements, which must succeed.
    pub fn run(&self, sql: &str) {
        match self.engine {
            Engine::Sqlite => {
                self.file().execute_batch(sql).unwrap_or_else(|e| panic!("{e}: {sql}"))
            }
            _ => drop(self.client(sql.as_bytes())),
        }
    }

    /// The rows of a query as text, `NULL` for NULL.
    pub fn query(&self, sql: &str) -> Vec<Vec<String>> {
        if self.engine == Engine::Sqlite {
            return self.file_query(sql);
        }
        let output = String::from_utf8(self.client(sql.as_bytes())).unwrap();
        let mark = if self.engine == Engine::Postgres { '\u{1f}' } else { '\t' };
        output.lines().map(|line| line.split(mark).map(str::to_owned).collect()).collect()
    }

    /// The only value of a query.
    pub fn one(&self, sql: &str) -> String {
        let rows = self.query(sql);
        assert_eq!((rows.len(), rows.first().map(Vec::len)), (1, Some(1)), "{sql}: {rows:?}");
        rows[0][0].clone()
    }

    /// Names of tables, in order; without the ledger's.
    pub fn tables(&self) -> Vec<String> {
        let mut names = self.every_table();
        names.retain(|name| !name.starts_with("mig_ledger_"));
        names
    }

    /// Tables of a ledger.
    pub fn ledgers(&self) -> usize {
        self.every_table().len() - self.tables().len()
    }

    fn every_table(&self) -> Vec<String> {
        let hex = self.hex(match self.engine {
            Engine::Sqlite => "name",
            Engine::Postgres => "tablename",
            Engine::Maria => "table_name",
        });
        let sql = match self.engine {
            Engine::Sqlite => format!(
                "SELECT {hex} FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
            ),
            Engine::Postgres => format!(
                "SELECT {hex} FROM pg_tables WHERE schemaname NOT IN ('pg_catalog','information_schema')"
            ),
            Engine::Maria => format!(
                "SELECT {hex} FROM information_schema.tables WHERE table_schema = DATABASE()"
            ),
        };
        let mut names: Vec<String> = self.query(&sql).iter().map(|row| unhex(&row[0])).collect();
        names.sort();
        names
    }

    /// An expression's text as hex digits of its UTF-8, `NULL` where it is.
    pub fn hex(&self, expression: &str) -> String {
        match self.engine {
            Engine::Sqlite => {
                format!(
                    "CASE WHEN ({expression}) IS NULL THEN 'NULL' ELSE lower(hex({expression})) END"
                )
            }
            Engine::Postgres => {
                format!("coalesce(encode(convert_to(({expression})::text, 'UTF8'), 'hex'), 'NULL')")
            }
            Engine::Maria => {
                format!("coalesce(lower(hex(convert({expression} using utf8mb4))), 'NULL')")
            }
        }
    }

    /// An expression's bytes as hex digits.
    pub fn bytes(&self, expression: &str) -> String {
        match self.engine {
            Engine::Sqlite => self.hex(expression),
            Engine::Postgres => format!("coalesce(encode({expression}, 'hex'), 'NULL')"),
            Engine::Maria => format!("coalesce(lower(hex({expression})), 'NULL')"),
        }
    }

    /// A name, quoted.
    pub fn quote(&self, name: &str) -> String {
        let mark = if self.engine == Engine::Maria { '`' } else { '"' };
        format!("{mark}{}{mark}", name.replace(mark, &format!("{mark}{mark}")))
    }

    fn file(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.name).unwrap()
    }

    fn file_query(&self, sql: &str) -> Vec<Vec<String>> {
        let file = self.file();
        let mut statement = file.prepare(sql).unwrap_or_else(|e| panic!("{e}: {sql}"));
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let text = |at| match row.get_ref(at).unwrap() {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:?}"),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
            };
            all.push((0..columns).map(text).collect());
        }
        all
    }

    /// The client of the server's maker, without the database's name.
    pub fn command(&self) -> Command {
        match self.engine {
            Engine::Postgres => {
                let server = server("TEST_PG_URL");
                let (host, port) = server.split_once(':').unwrap();
                let mut command = Command::new("psql");
                command.args(["-X", "-q", "-A", "-t", "-F", "\u{1f}", "-P", "null=NULL"]);
                command.args(["-v", "ON_ERROR_STOP=1", "-h", host, "-p", port, "-U", "postgres"]);
                command
                    .env("PGCLIENTENCODING", "UTF8")
                    .env("PGOPTIONS", "-c client_min_messages=error");
                command
            }
            _ => {
                let server = server("TEST_MARIA_URL");
                let (host, port) = server.split_once(':').unwrap();
                let mut command = Command::new("mariadb");
                command.args(["--no-defaults", "--batch", "--raw", "--skip-column-names"]);
                command.args([
                    "--binary-mode",
                    "--local-infile=1",
                    "-uroot",
                    "-h",
                    host,
                    "-P",
                    port,
                ]);
                command.arg("--default-character-set=utf8mb4");
                command
            }
        }
    }

    /// Gives the client a script.
    pub fn client(&self, script: &[u8]) -> Vec<u8> {
        let mut command = self.command();
        command.arg(&self.name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let script = script.to_vec();
        // What it answers may fill its pipe before it has read everything.
        let feeding = std::thread::spawn(move || drop(input.write_all(&script)));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{self}: {said}");
        output.stdout
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        assert_eq!(self.engine, Engine::Sqlite);
        PathBuf::from(&self.name)
    }
}

impl Drop for Db {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let (name, admin, force) = match self.engine {
            Engine::Sqlite => return,
            Engine::Postgres => (&self.name, "postgres", " WITH (FORCE)"),
            Engine::Maria => (&self.name, "mysql", ""),
        };
        let admin = Self { engine: self.engine, name: admin.to_owned(), user: String::new() };
        admin.run(&format!("DROP DATABASE IF EXISTS {name}{force};"));
        std::mem::forget(admin);
    }
}

impl fmt::Display for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.engine)
    }
}

/// Text of hex digits.
pub fn unhex(digits: &str) -> String {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    String::from_utf8((0..digits.len()).step_by(2).map(byte).collect()).unwrap()
}
