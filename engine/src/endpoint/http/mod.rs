//! Web servers as sources: `http://` and `https://`. One location is one file; there is no listing.
//!
//! The key is what follows the server's name in the URL, query included, as it was given: nothing
//! is decoded, so that signed URLs stay valid. The version is a strong entity tag, or else the date
//! of the last change and the length.

mod digests;
mod errors;
mod login;
mod look;
mod read;
mod site;
mod store;
mod told;

pub use site::{OPTIONS, open};
