//! A place in a bucket: what a location names, opened for one job.

use std::sync::Arc;

use crate::endpoint::contract::{Caps, ObjectSink, ObjectSource, Place};
use crate::error::{EngineError, Kind, Result};
use crate::model::item::{Handle, Timestamp};
use crate::model::leftover::Over;
use crate::model::location::Location;
use crate::model::store::StoreOptions;
use crate::remote::call::Side;
use crate::remote::ties::{Left, Meter, Ties};

use super::listing::Listings;
use super::names::Names;
use super::verbs::Store;

/// How a dialect opens a location: its store, and the key or prefix that is named, without a slash
/// at its end.
pub type Open = fn(&Location, Side, &Ties) -> Result<(Arc<dyn Store>, String)>;

/// A key of a bucket, or the keys beneath a prefix.
#[derive(Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn Store>,
    /// The key or prefix named, without a slash at its end; empty for the whole bucket.
    pub(super) root: String,
    /// Whether a prefix is named, whatever stands under the key of the same name.
    pub(super) is_prefix: bool,
    pub(super) names: Names,
    pub(super) listings: Arc<Listings>,
    pub(super) options: Arc<StoreOptions>,
    /// The location as a person would type it.
    pub(super) shown: Arc<Vec<u8>>,
    pub(super) meter: Arc<Meter>,
    pub(super) left: Arc<Left>,
    pub(super) over: Arc<Over>,
    /// Memory for data in flight.
    pub(super) memory_bytes: u64,
}

impl Bucket {
    fn open(open: Open, location: &Location, side: Side, ties: &Ties) -> Result<Self> {
        let (store, root) = open(location, side, ties)?;
        let names = Names::new(location.store.keys, store.rules().key_bytes_max);
        let is_prefix = root.is_empty() || location.is_into();
        let (listings, options) = (Arc::default(), Arc::clone(&location.store));
        let (meter, left) = (Arc::clone(&ties.meter), Arc::clone(&ties.left));
        let over = Arc::clone(&ties.over);
        let (memory_bytes, shown) = (ties.memory_bytes, Arc::new(location.shown()));
        Ok(Self {
            store,
            root,
            is_prefix,
            names,
            listings,
            options,
            shown,
            meter,
            left,
            over,
            memory_bytes,
        })
    }

    /// Opens a location as a source.
    ///
    /// # Errors
    /// Those of the dialect.
    pub fn source(open: Open, location: &Location, ties: &Ties) -> Result<Box<dyn ObjectSource>> {
        Ok(Box::new(Self::open(open, location, Side::Source, ties)?))
    }

    /// Opens a location as a sink.
    ///
    /// # Errors
    /// Those of the dialect.
    pub fn sink(open: Open, location: &Location, ties: &Ties) -> Result<Box<dyn ObjectSink>> {
        Ok(Box::new(Self::open(open, location, Side::Destination, ties)?))
    }

    /// What every object store can do.
    #[must_use]
    pub const fn caps(scheme: &'static str) -> Caps {
        Caps {
            scheme,
            directories: false,
            links: false,
            attributes: true,
            random_writes: false,
            reads_back: false,
            gathers: false,
            remote: true,
            atomic_noreplace: true,
            mtime_step_ns: 1,
            leases: true,
            leases_hold: false,
        }
    }

    /// Whether two locations of one scheme hold the same keys: by their buckets' names where they
    /// are reached by the same service, and by nothing else.
    ///
    /// # Errors
    /// Those of the dialect.
    pub fn overlap(open: Open, source: &Location, destination: &Location) -> Result<bool> {
        let ties = Ties::default();
        let a = Self::open(open, source, Side::Source, &ties)?;
        let b = Self::open(open, destination, Side::Destination, &ties)?;
        let inside = |outer: &Self, inner: &Self| {
            inner.root == outer.root || inner.root.starts_with(&outer.beneath())
        };
        Ok(a.store.identity() == b.store.identity() && (inside(&a, &b) || inside(&b, &a)))
    }

    /// What the keys beneath the root begin with.
    pub(super) fn beneath(&self) -> String {
        prefix_of(&self.root)
    }

    /// A prefix, empty or with a slash at its end, as a place.
    pub(super) fn place(&self, prefix: String, made: bool) -> Place {
        let (ino, born) = (0, Timestamp::default());
        Place { handle: Handle::new(Arc::new(prefix)), made, ino, born }
    }
}

/// What a location's key names, without the slash at its end: one, for keys are literal.
///
/// # Errors
/// `InvalidField` for a single slash, which is neither a key nor all keys.
pub fn named(key: &str) -> Result<&str> {
    match key.strip_suffix('/') {
        Some("") => {
            let why = "the location ends in two slashes behind its bucket: a part without bytes";
            Err(EngineError::new(Kind::InvalidField, why).hint("leave one out to mean all keys"))
        }
        Some(key) => Ok(key),
        None => Ok(key),
    }
}

/// What keys beneath this one begin with.
pub(super) fn prefix_of(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("{key}/") }
}
