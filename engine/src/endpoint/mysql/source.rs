//! A database that is read.

use std::sync::Arc;

use crate::endpoint::rows::{Snapshot, TableSource};
use crate::error::Result;
use crate::model::catalog::{Catalog, Engine};
use crate::model::location::Location;
use crate::remote::ties::Ties;

use super::catalog;
use super::config::Config;
use super::session::{Role, Session};
use super::snapshot::Instant;

/// Opens a source: connects once, so that what is wrong with the location is said at once.
///
/// # Errors
/// As [`Config::of`] and [`Session::open`].
pub(super) fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSource>> {
    let config = Config::of(location, ties)?;
    Session::open(&config, ties, Role::Read)?;
    Ok(Box::new(Source { config, ties: ties.clone() }))
}

/// A database that is read; connects when asked.
pub(super) struct Source {
    pub config: Arc<Config>,
    pub ties: Ties,
}

impl TableSource for Source {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn catalog(&self) -> Result<Catalog> {
        let mut session = Session::open(&self.config, &self.ties, Role::Read)?;
        catalog::catalog(&mut session, &self.config.database)
    }

    fn snapshot(&self, readers: usize) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Instant::open(&self.config, &self.ties, readers.max(1))?))
    }
}
