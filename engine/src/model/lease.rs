//! The record of a lease: who may commit to a destination, and under which number.
//!
//! It holds no time of day. Others judge it by whether it changes, on a clock of their own.

use serde::{Deserialize, Serialize};

/// Length of every record, bytes: one sector, so that a record is old or new after a loss of power.
pub const LEASE_BYTES: usize = 512;
/// Longest name of a host that is kept, bytes.
const HOST_BYTES_MAX: usize = 64;

/// A process, as others on its machine can look it up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the machine, for people.
    pub host: String,
    /// This boot of the machine: another one means that every process of it is dead.
    pub boot_id: String,
    /// The namespaces that give `pid` and `started` their meaning.
    pub namespaces: String,
    /// The process.
    pub pid: u32,
    /// When it was started, in ticks since boot: numbers of processes are used again.
    pub started: u64,
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The job that holds it.
    pub job: String,
    /// Tells this hold from any other.
    pub nonce: String,
    /// Counts the holders since the lease was last free: one more with each that broke it.
    pub epoch: u64,
    /// Its process.
    #[serde(flatten)]
    pub holder: Holder,
    /// Counts renewals: a holder that lives changes its record.
    pub renewed_seq: u64,
    /// How long the record must stand unchanged before it may be broken, milliseconds.
    pub ttl_ms: u64,
}

impl LeaseRecord {
    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut host = self.holder.host.clone();
        host.retain(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'));
        host.truncate(HOST_BYTES_MAX);
        let holder = Holder { host, ..self.holder.clone() };
        let mut bytes = serde_json::to_vec(&Self { holder, ..self.clone() }).unwrap_or_default();
        bytes.resize(LEASE_BYTES - 1, b' ');
        bytes.push(b'\n');
        bytes
    }

    /// The record of these bytes; `None` where they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Whether `bytes` are this same hold, renewed or not.
    #[must_use]
    pub fn is_hold_of(&self, bytes: &[u8]) -> bool {
        Self::decode(bytes).is_some_and(|other| {
            (&self.job, &self.nonce, self.epoch) == (&other.job, &other.nonce, other.epoch)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_has_one_length_and_is_read_back() {
        let holder = Holder {
            host: "h\"\u{e9}".repeat(200),
            boot_id: "b".repeat(36),
            namespaces: "pid:[4026531836] time:[4026531834]".to_owned(),
            pid: u32::MAX,
            started: u64::MAX,
        };
        let record = LeaseRecord {
            job: "0".repeat(16),
            nonce: "1".repeat(32),
            epoch: u64::MAX,
            holder,
            renewed_seq: u64::MAX,
            ttl_ms: u64::MAX,
        };
        let bytes = record.encode();
        assert_eq!(bytes.len(), LEASE_BYTES);
        assert!(record.is_hold_of(&bytes));
        let renewed = LeaseRecord { renewed_seq: 1, ..record.clone() };
        assert!(record.is_hold_of(&renewed.encode()));
        let other = LeaseRecord { epoch: 1, ..record.clone() };
        assert!(!record.is_hold_of(&other.encode()) && !record.is_hold_of(b"{torn"));
    }
}
