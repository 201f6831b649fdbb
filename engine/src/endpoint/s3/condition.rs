//! Conditions of writes: how they are sent where they hold, and what failures under them mean.

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::facts::Heeds;
use crate::endpoint::s3::{head, probe};
use crate::endpoint::store::verbs::{Condition, Object, Put};
use crate::error::{EngineError, Kind, Result};
use crate::remote::call::{Class, Failure, Verb};
use crate::remote::headers::Headers;

/// Metadata that tells one write from every other.
const WRITE: &str = "mig-write";

/// Requests that may be bound to a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// PutObject.
    Put,
    /// CopyObject.
    Copy,
    /// CompleteMultipartUpload.
    Complete,
}

/// Whether the condition holds when it is sent with such a request; found out once for a bucket,
/// beside the key that is about to be written.
///
/// # Errors
/// What keeps it from being found out.
pub fn holds(bucket: &Bucket, key: &str, condition: &Condition, writes: Writes) -> Result<bool> {
    if *condition == Condition::Any || bucket.style().is_aws() {
        return Ok(true);
    }
    let heeds = match writes {
        Writes::Put => probe::single(bucket, key)?.puts,
        Writes::Copy => probe::single(bucket, key)?.copies,
        Writes::Complete => probe::completes(bucket, key)?,
    };
    let Heeds { absent, is } = heeds;
    Ok(if *condition == Condition::Absent { absent } else { is })
}

/// Fails unless the condition holds or need not hold.
///
/// # Errors
/// `NoAtomicNoreplace`, and what keeps it from being found out.
pub fn require(bucket: &Bucket, key: &str, condition: &Condition, writes: Writes) -> Result<bool> {
    let holds = holds(bucket, key, condition, writes)?;
    if holds || bucket.options().allow_racy { Ok(holds) } else { Err(unheeded()) }
}

/// Makes a request write under its condition. Where the store passes over conditions, and its user
/// allowed that, what stands there is looked at just before.
///
/// # Errors
/// `NoAtomicNoreplace`, `DestinationExists`, `DestinationChanged`.
pub fn bind(
    bucket: &Bucket,
    key: &str,
    condition: &Condition,
    writes: Writes,
    headers: &mut Headers,
) -> Result<()> {
    if require(bucket, key, condition, writes)? {
        match condition {
            Condition::Absent => headers.add("if-none-match", "*"),
            Condition::Is(version) => headers.add("if-match", version.as_str()),
            Condition::Any => {}
        }
        return Ok(());
    }
    let there = head::look(bucket, key)?.map(|object| object.version);
    match condition {
        Condition::Absent if there.is_some() => Err(broken(condition)),
        Condition::Is(version) if there != Some(*version) => Err(broken(condition)),
        _ => Ok(()),
    }
}

/// What became of a write that failed: the object, when it is that of this very write.
///
/// # Errors
/// `DestinationExists`, `DestinationChanged`, `NoAtomicNoreplace`; the failure itself.
pub fn settle(
    bucket: &Bucket,
    key: &str,
    put: &Put,
    failure: &Failure,
    doing: &str,
) -> Result<Object> {
    if failure.class == Class::Cancelled {
        return Err(EngineError::cancelled());
    }
    // A reply that was lost, or an upload that was completed before: what stands there tells.
    if (failure.unsure || failure.class == Class::NoUpload)
        && let Some(object) = own(bucket, key, put)
    {
        return Ok(object);
    }
    let bound = put.condition != Condition::Any;
    Err(match failure.class {
        Class::Condition => broken(&put.condition),
        // AWS: what is to be replaced is not there.
        Class::NotFound if matches!(put.condition, Condition::Is(_)) => broken(&put.condition),
        Class::Unsupported if bound => unheeded().because(failure.message.clone(), None),
        _ => bucket.error(failure, Verb::Write, doing),
    })
}

/// The object that this write made, if it stands there.
fn own(bucket: &Bucket, key: &str, put: &Put) -> Option<Object> {
    let write = |fields: &[(String, String)]| {
        fields.iter().find(|(name, _)| name == WRITE).map(|(_, value)| value.clone())
    };
    let ours = write(&put.metadata)?;
    let there = head::look(bucket, key).ok()??;
    (write(there.metadata.as_deref().unwrap_or_default())? == ours).then_some(there)
}

/// The failure of a condition.
#[must_use]
pub fn broken(condition: &Condition) -> EngineError {
    match condition {
        Condition::Absent => EngineError::new(Kind::DestinationExists, "the object exists"),
        _ => EngineError::new(Kind::DestinationChanged, "another object stands there"),
    }
}

fn unheeded() -> EngineError {
    let why = "the store passes over conditions, so that nothing is sure not to be replaced";
    EngineError::new(Kind::NoAtomicNoreplace, why)
        .hint("allow_racy: true looks first and writes then, if nobody else writes there")
}
