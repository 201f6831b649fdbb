//! The record of a lease as an object, changed by conditional writes.
//!
//! A store cannot keep others from changing a record while a commit goes on: a holder looks at it
//! before each, and its time to live is long against that. What a late holder puts all the same is
//! bound to the state that it saw there, so it fails instead of undoing the next one's work.

use std::sync::Arc;

use crate::endpoint::contract::{Held, LeaseCell};
use crate::error::{Kind, Result};
use crate::model::crc::Crc64;
use crate::model::path::LEASE_NAME;
use crate::model::version::Version;

use super::metadata::WRITE;
use super::verbs::{Condition, Opened, Put, Store};

/// Longest record, bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// A lease's record.
pub(super) struct ObjectLease {
    store: Arc<dyn Store>,
    key: String,
}

impl ObjectLease {
    /// The lease of all behind a prefix, which is empty or ends in a slash.
    pub(super) fn of(store: Arc<dyn Store>, prefix: &str) -> Self {
        let name = String::from_utf8_lossy(LEASE_NAME);
        Self { store, key: format!("{prefix}{name}") }
    }

    /// The record and its version.
    fn there(&self) -> Result<Option<(Vec<u8>, Version)>> {
        if self.store.look(&self.key)?.is_none() {
            return Ok(None);
        }
        // Whatever is there now: the holder's own renewal may have come since that look.
        let Opened { object, mut body } = self.store.read(&self.key, Version::default(), None)?;
        let mut bytes = vec![0; (object.size as usize).min(RECORD_BYTES_MAX)];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match body.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(failure) => {
                    use crate::remote::call::{Side, Verb};
                    let doing = "failed to read the record of the lease";
                    return Err(failure.error(Side::Destination, Verb::Read, doing));
                }
            }
        }
        bytes.truncate(filled);
        Ok(Some((bytes, object.version)))
    }

    fn put(&self, bytes: &[u8], condition: Condition) -> Result<bool> {
        // A lost reply is known by it.
        let metadata = vec![(WRITE.to_owned(), Crc64::of(bytes).digest().hex)];
        let put = Put { condition, metadata, content_type: None, fields: Vec::new(), digest: None };
        match self.store.put(&self.key, bytes, &put) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(error.kind(), Kind::DestinationExists | Kind::DestinationChanged) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

impl LeaseCell for ObjectLease {
    fn read(&self) -> Result<Option<Vec<u8>>> {
        Ok(self.there()?.map(|(bytes, _)| bytes))
    }

    fn swap(&self, expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool> {
        let there = self.there()?;
        match (there, expected, new) {
            (None, None, Some(new)) => self.put(new, Condition::Absent),
            (None, None, None) => Ok(true),
            (Some((bytes, version)), Some(expected), _) if bytes == expected => match new {
                Some(new) => self.put(new, Condition::Is(version)),
                None => self.store.remove(&self.key, version),
            },
            _ => Ok(false),
        }
    }

    fn renew(&self, expected: &[u8], new: &[u8]) -> Result<bool> {
        self.swap(Some(expected), Some(new))
    }

    fn hold(&self, ours: &dyn Fn(&[u8]) -> bool) -> Result<Option<Held>> {
        let held = self.there()?.filter(|(bytes, _)| ours(bytes));
        Ok(held.map(|_| Box::new(()) as Held))
    }
}
