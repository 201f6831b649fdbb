//! Google Cloud Storage by its JSON interface: `gs://bucket/key`.
//!
//! Generations are versions. Whole objects are put in one request with their CRC-32C beside them,
//! so that the service checks it. An object in parts is put together of temporary objects
//! ([`temporary`]), each with a CRC-32C of its own, which lie beside it until then.

mod bucket;
mod compose;
mod copy;
mod errors;
mod frame;
mod list;
mod look;
mod part;
mod put;
mod read;
mod remove;
mod resource;
mod store;
mod temporary;
mod together;
mod uploads;

pub use bucket::{OPTIONS, open};
