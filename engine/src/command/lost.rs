//! What a result says about lost metadata.

use serde_json::{Value, json};

use crate::job::Job;

/// `lost` of a result: the kinds of metadata that were lost, each with its number of items; `None`
/// where nothing was.
#[must_use]
pub fn lost(job: &Job) -> Option<Value> {
    let lost = job.losses.all();
    let lost = lost.map(|(what, items)| json!({ "what": what.name(), "items": items }));
    let lost: Vec<Value> = lost.collect();
    (!lost.is_empty()).then(|| lost.into())
}
