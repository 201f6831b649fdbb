//! One digest for a directory: sha256 over its manifest as `sha256sum` would write it.
//!
//! The lines are `hex  name\n` with names relative to the directory, sorted by the names' bytes,
//! regular files only: `migration-engine checksum DIR --manifest F` writes the same bytes to F.

use migration_protocol::event::{Item, ItemStatus};

use crate::model::digest::{Algorithm, Hasher};
use crate::pipeline::manifest::sums_line;

/// Digests of a tree's files, in the order of their ends.
#[derive(Debug, Default)]
pub struct TreeDigest(Vec<(Box<[u8]>, Box<str>)>);

impl TreeDigest {
    /// Takes an item that was done.
    pub fn add(&mut self, item: &Item) {
        let hex = item.digests.get("sha256").filter(|_| item.status == ItemStatus::Ok);
        if let (Some(hex), Some(name)) = (hex, item.path.bytes()) {
            self.0.push((name.into_boxed_slice(), hex.as_str().into()));
        }
    }

    /// The digest of all of them.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.0.sort_unstable();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for (name, hex) in &self.0 {
            hasher.update(&sums_line(name, hex));
        }
        hasher.finish().hex
    }
}
