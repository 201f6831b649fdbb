//! Whether two files hold the same bytes: read side by side, up to the first difference.

use crate::endpoint::contract::{ObjectSource, Reader};
use crate::error::Result;
use crate::job::Job;
use crate::model::item::{Item, ItemKind};
use crate::pipeline::content::ChunkBuffer;
use crate::progress::Spent;

/// Whether what stands at the item's name on the other side has the item's content. What cannot be
/// read there is not the same: it is written anew. Nor is what changes meanwhile.
///
/// # Errors
/// What keeps the source from being read, `Cancelled`.
pub fn same_content(
    job: &Job,
    source: &dyn ObjectSource,
    there: &dyn ObjectSource,
    item: &Item,
    buffer: &mut ChunkBuffer,
) -> Result<bool> {
    let Ok(Some(other)) = there.find(&item.path) else {
        return Ok(false);
    };
    if other.kind != ItemKind::File || other.size != item.size {
        return Ok(false);
    }
    let mine = source.open(item)?;
    let Ok(theirs) = there.open(&other) else {
        return Ok(false);
    };
    let size = mine.facts().0;
    if size != theirs.facts().0 {
        return Ok(false);
    }
    let half = buffer.bytes().len() / 2;
    let (left, right) = buffer.bytes().split_at_mut(half);
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
            None => return Ok(false),
            Some(0) if offset < size => return Ok(false),
            Some(count) => offset += count as u64,
        }
        if offset >= size {
            let whole = offset == size && mine.unchanged()? && theirs.unchanged().unwrap_or(false);
            return Ok(whole);
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
