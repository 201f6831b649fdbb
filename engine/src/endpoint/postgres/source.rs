//! A database that is read.

use std::sync::Arc;

use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::{catalog, snapshot};
use crate::endpoint::rows::{Snapshot, TableSource};
use crate::error::Result;
use crate::model::catalog::{Catalog, Engine};
use crate::model::location::Location;
use crate::remote::call::Side;
use crate::remote::ties::Ties;

/// A PostgreSQL database as a source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) config: Arc<Config>,
}

/// Connects to a source.
///
/// # Errors
/// Those of the location and of connecting.
pub(super) fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSource>> {
    let config = Arc::new(Config::new(location, ties)?);
    drop(Session::open(&config, true).map_err(|fault| unreached(fault, Side::Source))?);
    Ok(Box::new(Source { config }))
}

/// The error of a connection that did not come about.
pub(super) fn unreached(
    fault: crate::endpoint::postgres::error::Fault,
    side: Side,
) -> crate::error::EngineError {
    fault.error(side, "failed to connect to the database")
}

/// Reads everything in a database.
///
/// # Errors
/// Those of connecting, rights.
pub(super) fn read_catalog(config: &Config, side: Side) -> Result<Catalog> {
    let mut session = Session::open(config, true).map_err(|fault| unreached(fault, side))?;
    let read = |session: &mut Session| -> Done<Catalog> { catalog::read(session, config) };
    read(&mut session).map_err(|fault| fault.error(side, "failed to read the catalogue"))
}

impl TableSource for Source {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn catalog(&self) -> Result<Catalog> {
        read_catalog(&self.config, Side::Source)
    }

    fn snapshot(&self, readers: usize) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(snapshot::Instant::new(&self.config, readers)?))
    }
}
