//! The local filesystem, by directory handles only.

mod attributes;
mod error;
mod intake;
mod lease;
mod leftovers;
mod overlap;
mod place;
mod publish;
mod reader;
mod remove;
mod sink;
mod source;
mod special;
mod times;
mod xattrs;

pub use sink::LocalSink;
pub use source::LocalSource;

use crate::endpoint::Scheme;
use crate::endpoint::contract::Caps;

/// What a local filesystem can do.
const CAPS: Caps = Caps {
    scheme: "file",
    directories: true,
    links: true,
    attributes: true,
    random_writes: true,
    reads_back: true,
    gathers: true,
    remote: false,
    atomic_noreplace: true,
    mtime_step_ns: 1,
    leases: true,
    leases_hold: true,
};

/// The registry's entry.
pub const SCHEME: Scheme = Scheme {
    name: "file",
    caps: CAPS,
    options: &[],
    writes: true,
    source: |location, _| LocalSource::open(location).map(|source| Box::new(source) as _),
    sink: |location, _| Ok(Box::new(LocalSink::new(location))),
    overlap: overlap::overlap,
    sweep: leftovers::sweep,
};
