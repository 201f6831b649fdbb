//! `az://CONTAINER/KEY`: block blobs of Azure Blob Storage, and of servers that speak its REST API.
//!
//! One file for each remote operation. Digests: the service checks CRC-64/NVME of each request and
//! keeps none; the blocks of an upload bear theirs in their names, so that they are known after a
//! crash, and what was committed is compared with what was sent.
//!
//! `https://ACCOUNT.blob.core.windows.net` is asked unless the location gives an endpoint. An
//! endpoint with a path, or on an address of the net, has the account in its path, as emulators do.

mod address;
mod block;
mod block_list;
mod checks;
mod container;
mod copy;
mod delete;
mod errors;
mod get;
mod list;
mod metadata;
mod properties;
mod put_blob;
mod put_block;
mod put_block_list;
mod uploads;
mod xml;

use std::sync::Arc;

use crate::endpoint::store::verbs::Store;
use crate::error::Result;
use crate::model::location::Location;
use crate::remote::call::Side;
use crate::remote::ties::Ties;

/// Fields of a location beside its URL that this store knows.
pub const OPTIONS: &[&str] = &[
    "endpoint",
    "profile",
    "account",
    "anonymous",
    "imds",
    "tls_ca",
    "tls_insecure",
    "keys",
    "part_bytes",
    "storage_class",
    "content_type",
    "content_encoding",
    "cache_control",
    "metadata",
    "tags",
];

/// Opens the container that a location names; the key or key prefix in it, without slash at its
/// end. Nothing is sent.
///
/// # Errors
/// `InvalidField` for what is no container, account or option of Azure; what keeps credentials from
/// being found.
pub fn open(location: &Location, side: Side, ties: &Ties) -> Result<(Arc<dyn Store>, String)> {
    let (container, key) = address::split(&location.path)?;
    let store = container::Container::open(container, location, side, ties)?;
    Ok((Arc::new(store), key.to_owned()))
}
