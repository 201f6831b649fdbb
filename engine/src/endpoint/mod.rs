//! Where bytes come from and go to. One file or folder for each scheme, one line for each below.

pub mod azure;
pub mod contract;
pub mod flat;
pub mod gcs;
pub mod http;
pub mod local;
pub mod memory;
pub mod mysql;
pub mod postgres;
pub mod rows;
pub mod s3;
pub mod sql;
pub mod sqlite;
pub mod store;

use crate::error::{EngineError, Kind, Result};
use crate::model::item::Timestamp;
use crate::model::leftover::{Owner, Root, Swept};
use crate::model::location::Location;
use crate::remote::ties::Ties;
use contract::{ObjectSink, ObjectSource};
use rows::{TableSink, TableSource};

/// Opens a location for one side of a command.
pub struct Scheme {
    /// The scheme's name.
    pub name: &'static str,
    /// What it can do.
    pub caps: contract::Caps,
    /// Fields of a location that it knows beside `url` and `auth`.
    pub options: &'static [&'static str],
    /// Whether it is a destination too.
    pub writes: bool,
    /// Opens a source; nothing is read yet but the root's own entry.
    pub source: fn(&Location, &Ties) -> Result<Box<dyn ObjectSource>>,
    /// Opens a sink; nothing is made yet.
    pub sink: fn(&Location, &Ties) -> Result<Box<dyn ObjectSink>>,
    /// Whether two locations of this scheme name the same thing, or one lies inside the other.
    pub overlap: fn(&Location, &Location) -> Result<bool>,
    /// Removes temporary things that an owner left beneath a root, or only counts them.
    pub sweep: fn(&Sweep<'_>) -> Result<Swept>,
}

/// A search for leftovers.
pub struct Sweep<'a> {
    /// Where.
    pub root: &'a Root,
    /// Whose.
    pub owner: &'a Owner<'a>,
    /// Whether nothing is removed.
    pub dry_run: bool,
    /// Names by which things of the owner's were begun that bear no temporary name
    /// ([`contract::Intake::token`]).
    pub begun: &'a [Vec<u8>],
    /// When the job began of which that is told, by this machine's clock; 0 where nobody knows.
    pub since: Timestamp,
    /// When it last said what it begins, by the same clock.
    pub until: Timestamp,
    /// The job that searches.
    pub ties: &'a Ties,
    /// Asked now and then; an error ends the search.
    pub pass: &'a dyn Fn() -> Result<()>,
}

/// Every scheme that is built, in alphabetical order.
pub static SCHEMES: &[Scheme] = &[
    azure::SCHEME,
    local::SCHEME,
    gcs::SCHEME,
    http::PLAIN,
    http::SECURE,
    memory::SCHEME,
    s3::SCHEME,
];

/// Opens a database for one side of a command.
pub struct Database {
    /// The schemes of its URLs.
    pub schemes: &'static [&'static str],
    /// Fields of a location that it knows beside `url` and `auth`.
    pub options: &'static [&'static str],
    /// Connects to a source; nothing is read yet.
    pub source: fn(&Location, &Ties) -> Result<Box<dyn TableSource>>,
    /// Connects to a sink; nothing is made yet.
    pub sink: fn(&Location, &Ties) -> Result<Box<dyn TableSink>>,
}

/// Every database that is built, in alphabetical order.
pub static DATABASES: &[Database] =
    &[flat::CSV, flat::JSON_LINES, mysql::DATABASE, postgres::DATABASE, sqlite::DATABASE];

/// Schemes that the design names and that are not built.
const PLANNED: [&str; 3] = ["sftp", "mongodb", "mongodb+srv"];

/// Whether a location is a database's.
#[must_use]
pub fn is_database(location: &Location) -> bool {
    DATABASES.iter().any(|database| database.schemes.contains(&location.scheme.as_str()))
}

/// The database of a location.
///
/// # Errors
/// `Unsupported` for a scheme that is no database's; `InvalidField` for an option that it does not
/// know.
pub fn database(location: &Location) -> Result<&'static Database> {
    let of = |database: &&Database| database.schemes.contains(&location.scheme.as_str());
    let Some(found) = DATABASES.iter().find(of) else {
        let built: Vec<_> =
            DATABASES.iter().flat_map(|database| database.schemes).copied().collect();
        let message = format!("{} locations are no databases", location.scheme);
        return Err(EngineError::new(Kind::Unsupported, message)
            .hint(format!("schemes of databases: {}", built.join(", "))));
    };
    let unknown = location.store.set().into_iter().find(|set| !found.options.contains(set));
    match unknown {
        None => Ok(found),
        Some(option) => {
            let message = format!("{} locations know no {option}", location.scheme);
            Err(EngineError::new(Kind::InvalidField, message))
        }
    }
}

/// The scheme of a location.
///
/// # Errors
/// `Unsupported`, saying whether the scheme is planned or unknown.
pub fn scheme(location: &Location) -> Result<&'static Scheme> {
    if let Some(scheme) = SCHEMES.iter().find(|scheme| scheme.name == location.scheme) {
        let unknown = location.store.set().into_iter().find(|set| !scheme.options.contains(set));
        return match unknown {
            None => Ok(scheme),
            Some(option) => {
                let message = format!("{} locations know no {option}", scheme.name);
                Err(EngineError::new(Kind::InvalidField, message))
            }
        };
    }
    let planned = PLANNED.contains(&location.scheme.as_str());
    let state = if planned { "is not built yet" } else { "is not known" };
    let built: Vec<_> = SCHEMES.iter().map(|scheme| scheme.name).collect();
    Err(EngineError::new(Kind::Unsupported, format!("the scheme {} {state}", location.scheme))
        .hint(format!("schemes of this version: {}, and plain paths", built.join(", "))))
}

/// Opens a source.
///
/// # Errors
/// Those of the endpoint.
pub fn open_source(location: &Location, ties: &Ties) -> Result<Box<dyn ObjectSource>> {
    (scheme(location)?.source)(location, ties)
}

/// The scheme of a location that is written.
///
/// # Errors
/// As [`scheme`]; `Unsupported` for a scheme that is only read.
pub fn written(location: &Location) -> Result<&'static Scheme> {
    let scheme = scheme(location)?;
    if scheme.writes {
        return Ok(scheme);
    }
    let message = format!("{} locations are only read", scheme.name);
    Err(EngineError::new(Kind::Unsupported, message))
}

/// Opens a sink.
///
/// # Errors
/// Those of the endpoint; `Unsupported` for a scheme that is only read.
pub fn open_sink(location: &Location, ties: &Ties) -> Result<Box<dyn ObjectSink>> {
    (written(location)?.sink)(location, ties)
}

/// Whether two locations name the same thing, or one lies inside the other.
///
/// # Errors
/// What keeps either from being looked at.
pub fn overlap(source: &Location, destination: &Location) -> Result<bool> {
    if source.scheme != destination.scheme {
        return Ok(false);
    }
    (scheme(source)?.overlap)(source, destination)
}
