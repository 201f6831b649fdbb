//! `delete` and `max_delete`: what a copy removes from its destination, and what `plan` says of it.

use std::sync::atomic::Ordering::Relaxed;

use migration_protocol::event::SAMPLE_MAX;
use migration_protocol::vocabulary::{BytePath, MaxDelete};
use serde_json::{Map, Value, json};

use crate::command::fields;
use crate::error::{Kind, Result};
use crate::model::path::ItemPath;
use crate::pipeline::delete::Deletion;
use crate::plan::digest::PlanDigest;
use crate::plan::extra::Cap;
use crate::wire;

/// Percent of the destination's items that go at most, where the command does not say.
const PERCENT: u64 = 50;

/// The cap of a command that deletes; `None` for one that does not.
///
/// # Errors
/// `InvalidField` for more than all of it.
pub fn cap(delete: bool, most: Option<MaxDelete>) -> Result<Option<Cap>> {
    let most = most.unwrap_or(MaxDelete { count: None, percent: Some(PERCENT) });
    if let Some(percent) = most.percent {
        fields::in_range("max_delete.percent", percent, 0, 100)?;
    }
    Ok(delete.then_some(Cap { count: most.count, percent: most.percent }))
}

/// What would be deleted.
#[derive(Debug, Default)]
pub struct Forecast {
    names: u64,
    sample: Vec<ItemPath>,
    refused: Option<Kind>,
}

impl Forecast {
    /// Searches the destination; `items` were found in the source, and `halts` says that not all
    /// of them will be copied.
    ///
    /// # Errors
    /// What ends the job.
    pub fn make(
        deletion: &Deletion<'_>,
        items: u64,
        halts: bool,
        digest: &mut PlanDigest,
    ) -> Result<Self> {
        let Some(root) = deletion.sink.standing()? else {
            return Ok(Self::default());
        };
        let mut sample = Vec::new();
        let count = deletion.find(&root, &mut |extra| {
            digest.add_name("delete", &extra.path);
            if sample.len() < SAMPLE_MAX {
                sample.push(extra.path.clone());
            }
            Ok(())
        })?;
        let failed = halts || deletion.job.progress.items_failed.load(Relaxed) > 0;
        let refused = match count.judge(&deletion.cap, items, 0) {
            _ if failed => Some(Kind::DeleteHalted),
            judged => judged.err().map(|error| error.kind()),
        };
        Ok(Self { names: count.names, sample, refused })
    }

    /// Adds it to what `plan` answers.
    pub fn report(&self, data: &mut Map<String, Value>) {
        let sample = wire::sample(self.sample.iter().map(|path| BytePath::new(path.as_bytes())));
        data.insert("delete".to_owned(), self.names.into());
        data.insert("delete_sample".to_owned(), json!(sample));
        if let Some(kind) = self.refused {
            data.insert("delete_refused".to_owned(), wire::code(kind).name().into());
        }
    }
}
