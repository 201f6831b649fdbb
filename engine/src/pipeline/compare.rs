//! What stands at the destination, read: beside the source up to the first difference, or by
//! itself for its digests.

use crate::endpoint::contract::{ObjectSource, Reader};
use crate::error::{Kind, Result};
use crate::job::Job;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::found::Found;
use crate::model::item::{Item, ItemKind};
use crate::model::path::ItemPath;
use crate::pipeline::content::{self, ChunkBuffer, Reading};
use crate::pipeline::feed::ends_job;
use crate::pipeline::recode::Way;
use crate::progress::{Spent, add};

/// What stands at the destination as it should, and was read.
pub struct Standing {
    /// As it stands there.
    pub item: Item,
    /// Bytes of plain content.
    pub bytes: u64,
    /// Digests of them.
    pub digests: Vec<Digest>,
    /// Bytes that stand there, where they are another form of the content.
    pub stored: Option<u64>,
}

/// Something at the destination to be read.
#[derive(Clone, Copy)]
pub struct There<'a> {
    /// The destination.
    pub source: &'a dyn ObjectSource,
    /// Its name there.
    pub path: &'a ItemPath,
    /// Digests to take of its plain content.
    pub algorithms: &'a [Algorithm],
    /// How it came to be of the source's content.
    pub way: Option<Way>,
}

impl There<'_> {
    /// What stands there, digested. `None` where it cannot be read, or is not what was found.
    ///
    /// # Errors
    /// `Cancelled`, `Memory`, and what else ends the job.
    pub fn digested(
        self,
        job: &Job,
        found: &Found,
        buffer: &mut ChunkBuffer,
    ) -> Result<Option<Standing>> {
        let Ok(Some(item)) = self.source.find(self.path) else {
            return Ok(None);
        };
        let seen = (item.kind, item.size, item.attributes.mtime);
        if item.kind != found.kind
            || (item.kind == ItemKind::File && seen != (found.kind, found.size, found.mtime))
        {
            return Ok(None);
        }
        let bare = item.kind != ItemKind::File || self.algorithms.is_empty();
        if bare && self.way.is_none() {
            let bytes = item.size;
            return Ok(Some(Standing { item, bytes, digests: Vec::new(), stored: None }));
        }
        match self.read(job, item, buffer) {
            Err(error) if ends_job(error.kind()) => Err(error),
            Err(error) if matches!(error.kind(), Kind::Cancelled | Kind::Memory) => Err(error),
            Err(_) => Ok(None),
            Ok(standing) => Ok(standing),
        }
    }

    fn read(self, job: &Job, item: Item, buffer: &mut ChunkBuffer) -> Result<Option<Standing>> {
        let reader = self.source.open(&item)?;
        let how = Reading { path: item.path.as_bytes(), algorithms: self.algorithms, holes: false };
        let content = match self.way {
            Some(way) => way.read_again(job, &*reader, buffer, how)?,
            None => content::read(job, &*reader, buffer, how, |_, _| Ok(()))?,
        };
        // Nothing of the source was handled.
        add(&job.progress.bytes_redone, item.size);
        if !content.whole {
            return Ok(None);
        }
        let stored = self.way.map(|_| item.size);
        Ok(Some(Standing { item, bytes: content.bytes, digests: content.digests, stored }))
    }
}

/// What stands at the item's name on the other side, if it has the item's content. What cannot be
/// read there is not the same: it is written anew. Nor is what changes meanwhile.
///
/// # Errors
/// What keeps the source from being read, `Cancelled`.
pub fn same_content(
    job: &Job,
    source: &dyn ObjectSource,
    there: There<'_>,
    item: &Item,
    buffer: &mut ChunkBuffer,
) -> Result<Option<Standing>> {
    let Ok(Some(other)) = there.source.find(there.path) else {
        return Ok(None);
    };
    if other.kind != ItemKind::File || other.size != item.size {
        return Ok(None);
    }
    let mine = source.open(item)?;
    let Ok(theirs) = there.source.open(&other) else {
        return Ok(None);
    };
    let size = mine.facts().0;
    if size != theirs.facts().0 {
        return Ok(None);
    }
    let half = buffer.bytes().len() / 2;
    let (left, right) = buffer.bytes().split_at_mut(half);
    let mut hashers: Vec<Hasher> = there.algorithms.iter().map(|a| Hasher::new(*a)).collect();
    let mut offset = 0;
    // One read more than the size asks for: files of procfs tell a size of 0.
    loop {
        job.take_bytes((size - offset).min(half as u64))?;
        let read = || -> Result<Option<usize>> {
            let count = fill(&*mine, offset, left)?;
            let both = fill(&*theirs, offset, right.get_mut(..count).unwrap_or_default());
            let same = matches!(both, Ok(other) if other == count)
                && left.get(..count) == right.get(..count);
            Ok(same.then_some(count))
        };
        match job.progress.timed(Spent::SourceRead, read)? {
            // Different, or shorter than it was.
            None => return Ok(None),
            Some(0) if offset < size => return Ok(None),
            Some(count) => {
                let read = right.get(..count).unwrap_or_default();
                let hash = || hashers.iter_mut().for_each(|hasher| hasher.update(read));
                job.progress.timed(Spent::Hash, hash);
                offset += count as u64;
            }
        }
        if offset >= size {
            let whole = offset == size && mine.unchanged()? && theirs.unchanged().unwrap_or(false);
            let digests = hashers.into_iter().map(Hasher::finish).collect();
            let standing = Standing { item: other, bytes: offset, digests, stored: None };
            return Ok(whole.then_some(standing));
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(reader: &dyn Reader, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(offset + filled as u64, rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
