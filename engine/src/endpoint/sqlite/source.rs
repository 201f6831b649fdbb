//! The database as a source.

use crate::endpoint::rows::{Snapshot, TableSource};
use crate::endpoint::sqlite::catalog;
use crate::endpoint::sqlite::error::Side;
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::snapshot::Instant;
use crate::error::Result;
use crate::model::catalog::{Catalog, Engine};
use crate::model::location::Location;
use crate::remote::ties::Ties;

/// A database that is read.
#[derive(Clone, Debug)]
pub struct Source {
    place: Place,
}

/// Opens a source: the file must be there and be a database.
///
/// # Errors
/// Those of the location and of opening.
pub fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSource>> {
    Source::new(Place::of(location, ties, Side::Source)?).map(boxed)
}

fn boxed(source: Source) -> Box<dyn TableSource> {
    Box::new(source)
}

impl Source {
    /// The source at a place.
    ///
    /// # Errors
    /// Those of opening.
    pub fn new(place: Place) -> Result<Self> {
        let failed = |error| place.error("failed to read the database", &error);
        place
            .open()?
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(failed)?;
        Ok(Self { place })
    }
}

impl TableSource for Source {
    fn engine(&self) -> Engine {
        Engine::Sqlite
    }

    fn catalog(&self) -> Result<Catalog> {
        let failed = |error| self.place.error("failed to read the catalogue", &error);
        catalog::read(&self.place.open()?, self.place.shown()).map_err(failed)
    }

    fn snapshot(&self, readers: usize) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Instant::open(&self.place, readers.max(1))?))
    }
}
