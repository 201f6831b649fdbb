//! What was published, read back from its destination: for those that show nothing before.

use crate::endpoint::contract::ObjectSource;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::item::{Item, ItemKind};
use crate::pipeline::content::{self, ChunkBuffer, Reading};
use crate::pipeline::manifest::Listed;
use crate::progress::add;

/// A destination that is read.
pub struct Confirm<'a> {
    /// The destination.
    pub there: &'a dyn ObjectSource,
    /// Bytes read at once.
    pub chunk_bytes: u64,
}

impl Confirm<'_> {
    /// Reads an item where it stands now, and compares its digests with those that were taken.
    ///
    /// # Errors
    /// `VerifyMismatch`; the item stays for inspection. What keeps it from being read.
    pub fn stands(&self, job: &Job, item: &Item, done: &Listed) -> Result<()> {
        let differs = |why: &str| Err(EngineError::new(Kind::VerifyMismatch, why.to_owned()));
        if item.kind != ItemKind::File {
            return Ok(());
        }
        let Some(there) = self.there.find(&item.path)? else {
            return differs("what was published is not there");
        };
        let reader = self.there.open(&there)?;
        let mut buffer = ChunkBuffer::new(job, self.chunk_bytes)?;
        let algorithms: Vec<_> = done.digests.iter().map(|digest| digest.algorithm).collect();
        let how = Reading { path: item.path.as_bytes(), algorithms: &algorithms, holes: false };
        let read = content::read(job, &*reader, &mut buffer, how, |_, _| Ok(()))?;
        add(&job.progress.bytes_redone, read.bytes);
        if !read.whole || read.bytes != done.bytes || read.digests != done.digests {
            return differs("the bytes at the destination are not the bytes written");
        }
        Ok(())
    }
}
