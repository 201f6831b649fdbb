//! The source of a race, made once.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Engine;
use super::server::Servers;
use super::shape::{Shape, Type};
use crate::suite::Setting;

const FILL_SQLITE: &str = include_str!("../../../peers/fill_sqlite.py");

/// A table at its source.
#[derive(Debug)]
pub struct Data {
    /// Its columns and rows.
    pub shape: Shape,
    /// The database that holds it alone, in whichever server.
    pub database: String,
    /// The SQLite file that holds it alone.
    pub file: PathBuf,
    /// Rows and digest, as PostgreSQL tells them.
    pub digest: String,
}

impl Data {
    /// The table in PostgreSQL, which judges, and in `engine`, where it is not there yet.
    ///
    /// # Errors
    /// What the system or a server answers; `InvalidData` when two engines hold other rows.
    pub fn make(
        setting: &Setting,
        servers: &Servers,
        shape: Shape,
        engine: Engine,
    ) -> io::Result<Self> {
        let database = format!("bench_{}_{}", shape.table, shape.rows);
        let file = servers.keep.join(format!("{database}.sqlite"));
        let mut data = Self { shape, database, file, digest: String::new() };
        let digest = |engine| servers.sql(engine, &data.database, &data.shape.digest(engine));
        let whole = |digest: &io::Result<String>| {
            digest.as_ref().is_ok_and(|text| text.starts_with(&format!("{}\t", data.shape.rows)))
        };
        let mut found = digest(Engine::Postgres);
        if !whole(&found) {
            data.fill_postgres(setting, servers)?;
            found = digest(Engine::Postgres);
        }
        let found = found?;
        if engine == Engine::Maria && digest(engine).ok().as_ref() != Some(&found) {
            data.fill_maria(servers)?;
            if digest(engine)? != found {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "MariaDB holds other rows"));
            }
        }
        if engine == Engine::Sqlite && !data.file.exists() {
            data.fill_sqlite(setting, servers)?;
        }
        data.digest = found;
        Ok(data)
    }

    fn fill_postgres(&self, setting: &Setting, servers: &Servers) -> io::Result<()> {
        let (shape, table) = (&self.shape, self.shape.table);
        let text = setting.scratch.join("rows");
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&text)?);
        shape.write(&mut out)?;
        out.flush()?;
        servers.empty(Engine::Postgres, &self.database)?;
        let sql = |sql: &str| servers.sql(Engine::Postgres, &self.database, sql);
        sql(&shape.create(Engine::Postgres, table))?;
        sql(&format!("\\copy {table} from '{}'", text.display()))?;
        fs::remove_file(text)?;
        sql(&format!("ALTER TABLE {table} ADD PRIMARY KEY ({})", shape.key))?;
        sql("VACUUM (FREEZE, ANALYZE)").map(drop)
    }

    fn fill_maria(&self, servers: &Servers) -> io::Result<()> {
        let shape = &self.shape;
        servers.empty(Engine::Maria, &self.database)?;
        servers.sql(
            Engine::Maria,
            &self.database,
            &shape.create_keyed(Engine::Maria, shape.table),
        )?;
        let load = format!("SET sql_log_bin = 0; {}", load_data(shape));
        let mut from = self.copy_out(servers)?;
        let mut to = Command::new("mariadb");
        to.args(servers.maria_words.split(' ')).args(["--local-infile=1", "-e", &load]);
        piped(&mut from, to.arg(&self.database))?;
        let analyze = format!("ANALYZE TABLE {}", shape.table);
        servers.sql(Engine::Maria, &self.database, &analyze).map(drop)
    }

    fn fill_sqlite(&self, setting: &Setting, servers: &Servers) -> io::Result<()> {
        let script = setting.scratch.join("fill_sqlite.py");
        fs::write(&script, FILL_SQLITE)?;
        let part = self.file.with_extension("part");
        let _ = fs::remove_file(&part);
        let kinds = self.shape.list(|_, kind| {
            let kind = match kind {
                Type::Long | Type::Int => "int",
                Type::Decimal(..) | Type::Double => "float",
                Type::Bytes => "hex",
                _ => "text",
            };
            kind.to_owned()
        });
        let mut to = Command::new("python3");
        to.arg(script).arg(&part).arg(self.shape.create_keyed(Engine::Sqlite, self.shape.table));
        piped(&mut self.copy_out(servers)?, to.args([self.shape.table, &kinds]))?;
        fs::rename(part, &self.file)
    }

    /// A program that prints all rows in the text form of COPY, bytes as hexadecimal digits.
    fn copy_out(&self, servers: &Servers) -> io::Result<Command> {
        let mut psql = Command::new("psql");
        psql.args(["-Xq", "-d", &format!("{}/{}", servers.postgres, self.database), "-c"]);
        psql.arg(copy_out(&self.shape));
        Ok(psql)
    }
}

/// The statement of PostgreSQL that sends all rows, bytes as hexadecimal digits.
#[must_use]
pub fn copy_out(shape: &Shape) -> String {
    let columns = shape.list(|name, kind| match kind {
        Type::Bytes => format!("encode({name}, 'hex')"),
        _ => name.to_owned(),
    });
    format!("COPY (SELECT {columns} FROM {}) TO STDOUT", shape.table)
}

/// The statement of MariaDB that takes them.
#[must_use]
pub fn load_data(shape: &Shape) -> String {
    let columns = shape.list(|name, kind| match kind {
        Type::Bytes => format!("@{name}"),
        _ => name.to_owned(),
    });
    let bytes = shape.columns.iter().filter(|(_, kind)| *kind == Type::Bytes);
    let bytes: Vec<_> = bytes.map(|(name, _)| format!("{name} = unhex(@{name})")).collect();
    let set = if bytes.is_empty() { String::new() } else { format!(" SET {}", bytes.join(", ")) };
    format!(
        "LOAD DATA LOCAL INFILE '/dev/stdin' INTO TABLE {} CHARACTER SET utf8mb4 ({columns}){set}",
        shape.table
    )
}

/// Runs both, the output of the first being the input of the second.
fn piped(from: &mut Command, to: &mut Command) -> io::Result<()> {
    let mut from = from.env("PGSSLMODE", "disable").stdout(Stdio::piped()).spawn()?;
    let input = from.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let end = to.stdin(input).stdout(Stdio::null()).status()?;
    let begin = from.wait()?;
    match begin.success() && end.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("making the data: {begin}, {end}"))),
    }
}
