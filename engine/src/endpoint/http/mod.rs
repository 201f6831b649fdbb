//! Web servers as sources: `http://` and `https://`. One location is one file; there is no listing.
//!
//! The key is what follows the server's name in the URL, query included, as it was given: nothing
//! is decoded, so that signed URLs stay valid. The version is a strong entity tag, or else the date
//! of the last change and the length. Where nothing of that is told, a file is read by one request.

mod digests;
mod errors;
mod login;
mod look;
mod read;
mod site;
mod store;
mod told;

pub use site::{OPTIONS, open};

use crate::endpoint::contract::Caps;
use crate::endpoint::{Scheme, store as shared};
use crate::model::leftover::Swept;

const fn web(name: &'static str) -> Scheme {
    Scheme {
        name,
        caps: Caps { leases: false, ..shared::Bucket::caps(name) },
        options: OPTIONS,
        writes: false,
        source: |location, ties| shared::Bucket::source(open, location, ties),
        sink: |location, ties| shared::Bucket::sink(open, location, ties),
        overlap: |source, destination| shared::Bucket::overlap(open, source, destination),
        // Nothing is ever begun there.
        sweep: |_| Ok(Swept { removed: 0, bytes: 0, left: Vec::new() }),
    }
}

/// The registry's entries.
pub const PLAIN: Scheme = web("http");
/// As [`PLAIN`], by TLS.
pub const SECURE: Scheme = web("https");
