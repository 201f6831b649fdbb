//! The digest of a plan: equal exactly when the same decisions are made about the same items, in
//! whatever order they were found.

use sha2::Digest as _;

use crate::model::digest::hex;
use crate::model::item::Item;
use crate::model::path::ItemPath;

/// A sum modulo 2^256 of the SHA-256 of every decision: no sorting, no memory.
#[derive(Clone, Debug, Default)]
pub struct PlanDigest([u8; 32]);

impl PlanDigest {
    /// Adds a decision about an item.
    pub fn add(&mut self, decision: &str, item: &Item) {
        let mut hash = sha2::Sha256::new();
        let head = format!("{decision}\0{}\0{}\0", item.kind.name(), item.size);
        hash.update(head.as_bytes());
        hash.update(format!("{}\0", item.attributes.mtime.0).as_bytes());
        hash.update(item.path.as_bytes());
        hash.update(b"\0");
        hash.update(item.link.as_deref().unwrap_or_default());
        self.sum(hash);
    }

    /// Adds a decision about a name at the destination.
    pub fn add_name(&mut self, decision: &str, path: &ItemPath) {
        let mut hash = sha2::Sha256::new();
        hash.update(format!("{decision}\0name\0").as_bytes());
        hash.update(path.as_bytes());
        self.sum(hash);
    }

    fn sum(&mut self, hash: sha2::Sha256) {
        let mut carry = 0u16;
        for (sum, term) in self.0.iter_mut().zip(hash.finalize()).rev() {
            let total = u16::from(*sum) + u16::from(term) + carry;
            *sum = (total & 0xff) as u8;
            carry = total >> 8;
        }
    }

    /// The digest in hex.
    #[must_use]
    pub fn finish(&self) -> String {
        hex(&self.0)
    }
}
