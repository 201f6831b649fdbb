//! Rows copied from one database to another.
//!
//! The servers are those that `TEST_PG_*` and `TEST_MARIA_*` name, on the cores that the contenders
//! use too: processor time of a contender's own processes tells more than wall time. The source is
//! made once and stays with the servers; the target is a new database for each run, and what stands
//! there after it is digested by SQL and compared with the source. Each contender ends with the rows
//! and their primary key, unless its name says that it makes none.

mod data;
mod ground;
mod peers;
mod server;
mod shape;

use std::io;

use self::data::Data;
use self::ground::Between;
use self::server::Servers;
use self::shape::Shape;
use super::Setting;
use crate::machine;
use crate::race::rounds;
use crate::table::{self, Report};

/// An engine that holds tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB, standing for MySQL too.
    Maria,
    /// SQLite.
    Sqlite,
}

/// What the suites of tables measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Sizes {
    /// Rows of lineitem in the suites of tables.
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: u64,
    /// Race wide rows of about 2 KB instead of lineitem.
    #[arg(long)]
    pub wide: bool,
    /// Wide rows.
    #[arg(long, default_value_t = 200_000)]
    pub wide_rows: u64,
}

#[cfg(test)]
impl Default for Sizes {
    fn default() -> Self {
        Self { rows: 1, wide: false, wide_rows: 1 }
    }
}

/// Races copies of one table.
///
/// # Errors
/// What the system or a server answers about the data.
pub fn run(setting: &Setting, from: Engine, to: Engine) -> io::Result<Report> {
    let servers = Servers::find(setting)?;
    let shape = match setting.rows.wide {
        true => Shape::wide(setting.scaled(setting.rows.wide_rows)),
        false => Shape::narrow(setting.scaled(setting.rows.rows)),
    };
    let data = Data::make(setting, &servers, shape, from)?;
    let contenders = peers::contenders(setting, &servers, &data, (from, to))?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let rows = rounds(setting, &contenders, &Between::new(&servers, &data, (from, to)))?;
    servers.drop_target(to)?;
    let shape = &data.shape;
    let markdown = format!(
        "## {} rows of {} ({} columns), {} to {}\n\nLoad before: {}. Servers: {}. Peers: {}.\n\n{}",
        shape.rows,
        shape.table,
        shape.columns.len(),
        from.title(),
        to.title(),
        load.trim(),
        servers.describe()?,
        versions(setting).join("; "),
        table::rows(&rows, shape.rows)
    );
    Ok(Report { markdown, sound: rows.iter().all(|row| row.is_sound()) })
}

impl Engine {
    fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Maria => "MariaDB",
            Self::Sqlite => "SQLite",
        }
    }
}

fn versions(setting: &Setting) -> Vec<String> {
    let asked = ["psql", "pgcopydb", "pgloader", "mariadb", "mydumper"];
    let mut versions: Vec<_> = asked
        .into_iter()
        .map(|name| match setting.tools.peer(name) {
            Some(program) => machine::output(&program.to_string_lossy(), &["--version"]),
            None => format!("{name} absent"),
        })
        .collect();
    for module in ["connectorx", "dlt"] {
        let script = format!("from importlib.metadata import version; print(version('{module}'))");
        let python = setting.tools.python().map(|python| python.to_string_lossy().into_owned());
        let found = python.map(|python| machine::output(&python, &["-c", &script]));
        let found = found.filter(|text| !text.is_empty());
        versions.push(format!("{module} {}", found.as_deref().unwrap_or("absent")));
    }
    versions
}
