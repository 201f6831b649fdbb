//! Where a signer gets what it signs with.

use std::sync::Arc;

use crate::error::Result;
use crate::model::item::Timestamp;

/// Gives what signs, as it is valid at a time.
pub trait Source<T>: Send + Sync {
    /// What signs now. May block while it is found or renewed.
    ///
    /// # Errors
    /// `CredentialsMissing`, what keeps it from being had.
    fn get(&self, now: Timestamp) -> Result<Arc<T>>;

    /// It was refused as expired: forgets it. Whether another one may be had.
    fn renew(&self) -> bool {
        false
    }
}

/// Something that never changes.
pub struct Fixed<T>(Arc<T>);

impl<T> Fixed<T> {
    /// A source of this alone.
    #[must_use]
    pub fn new(value: T) -> Arc<Self> {
        Arc::new(Self(Arc::new(value)))
    }
}

impl<T: Send + Sync> Source<T> for Fixed<T> {
    fn get(&self, _now: Timestamp) -> Result<Arc<T>> {
        Ok(self.0.clone())
    }
}
