//! One file's bytes: read, limited, digested, and handed on, chunk by chunk.

use std::ops::Range;

use memmap2::MmapMut;

use crate::endpoint::contract::{HeldBytes, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::HOLE_BYTES;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::progress::{Spent, add};
use crate::resource::budget::Permit;

/// A worker's chunk buffer and the memory it was granted.
///
/// Mapped by itself: an allocator would keep what was freed, thread by thread, above the cap.
pub struct ChunkBuffer {
    bytes: MmapMut,
    _permit: Permit,
}

impl ChunkBuffer {
    /// A buffer of `bytes`.
    ///
    /// # Errors
    /// `Memory` or `Cancelled`.
    pub fn new(job: &Job, bytes: u64) -> Result<Self> {
        Self::granted(job.take_memory(bytes)?, bytes)
    }

    /// Two buffers of `bytes` each, granted at once: nobody waits for the second while holding
    /// the first.
    ///
    /// # Errors
    /// `Memory` or `Cancelled`.
    pub fn pair(job: &Job, bytes: u64) -> Result<[Self; 2]> {
        Self::halves(job.take_memory(2 * bytes)?, bytes)
    }

    /// Two buffers of `bytes` each, of memory that was granted.
    ///
    /// # Errors
    /// `Memory`.
    pub fn halves(permit: Permit, bytes: u64) -> Result<[Self; 2]> {
        let (left, right) = permit.split(bytes);
        Ok([Self::granted(left, bytes)?, Self::granted(right, bytes)?])
    }

    /// A buffer of `bytes`, and memory for `more` beside it, granted at once.
    ///
    /// # Errors
    /// `Memory` or `Cancelled`.
    pub fn beside(job: &Job, bytes: u64, more: u64) -> Result<(Self, Permit)> {
        let (buffer, more) = job.take_memory(bytes + more)?.split(bytes);
        Ok((Self::granted(buffer, bytes)?, more))
    }

    /// A buffer of `bytes` if memory for it is free now: for those who hold one already.
    pub fn spare(job: &Job, bytes: u64) -> Option<Self> {
        Self::granted(job.engine.budget.try_take(bytes)?, bytes).ok()
    }

    /// A buffer of `bytes`, of memory that was granted.
    ///
    /// # Errors
    /// `Memory`.
    pub fn granted(permit: Permit, bytes: u64) -> Result<Self> {
        let mapped = MmapMut::map_anon(bytes as usize).map_err(|error| {
            EngineError::new(Kind::Memory, "the system gives no memory")
                .because("mmap", error.raw_os_error())
        })?;
        Ok(Self { bytes: mapped, _permit: permit })
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The first `count` bytes, to be kept with their memory until they are published.
    #[must_use]
    pub fn held(self, count: usize) -> HeldBytes {
        Box::new(Kept { buffer: self, count })
    }
}

/// The beginning of a buffer.
struct Kept {
    buffer: ChunkBuffer,
    count: usize,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        self.buffer.bytes.get(..self.count).unwrap_or_default()
    }
}

/// Reads a range into the beginning of a buffer, within the limits of the job; fewer bytes only
/// where the source ends early.
///
/// # Errors
/// Those of the reader, and `Cancelled`.
pub fn fill(job: &Job, reader: &dyn Reader, range: Range<u64>, buffer: &mut [u8]) -> Result<usize> {
    reader.expect(range.clone());
    let mut cursor = Cursor::new(job, reader, false);
    let mut filled = 0;
    while range.start + (filled as u64) < range.end {
        let into = buffer.get_mut(filled..).unwrap_or_default();
        match cursor.step(range.start + filled as u64, range.end, into)? {
            Step::Data(count) => filled += count,
            Step::Hole(_) | Step::End => break,
        }
    }
    Ok(filled)
}

/// What comes next of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes, now in the buffer.
    Data(usize),
    /// So many bytes that are zero and need not be read.
    Hole(u64),
    /// Nothing: the source is shorter than it was.
    End,
}

/// Goes through a source, telling data from holes.
pub struct Cursor<'a> {
    job: &'a Job,
    reader: &'a dyn Reader,
    size: u64,
    /// Whether holes are looked for.
    holes: bool,
    /// The range of data met last.
    data: Range<u64>,
}

impl<'a> Cursor<'a> {
    /// A cursor over this source.
    #[must_use]
    pub fn new(job: &'a Job, reader: &'a dyn Reader, holes: bool) -> Self {
        Self { job, reader, size: reader.facts().0, holes, data: 0..0 }
    }

    /// The next step from `offset`, not beyond `end`, within the limits of the job.
    ///
    /// # Errors
    /// Those of the reader, and `Cancelled`.
    pub fn step(&mut self, offset: u64, end: u64, buffer: &mut [u8]) -> Result<Step> {
        let mut end = end;
        if self.holes {
            if !self.data.contains(&offset) {
                match self.reader.data(offset)? {
                    Some(data) if data.start < end => self.data = data,
                    _ => return self.hole(end - offset),
                }
                if self.data.start > offset {
                    return self.hole(self.data.start - offset);
                }
            }
            end = end.min(self.data.end);
        }
        let want = (end - offset).min(buffer.len() as u64);
        // A size told as 0 may be any: such a read is charged as one byte.
        self.job.take_bytes(want.min(self.size.max(1)))?;
        let chunk = buffer.get_mut(..want as usize).unwrap_or_default();
        let read = || self.reader.read_at(offset, chunk);
        match self.job.progress.timed(Spent::SourceRead, read)? {
            0 => Ok(Step::End),
            count => Ok(Step::Data(count)),
        }
    }

    fn hole(&self, bytes: u64) -> Result<Step> {
        self.job.pass()?;
        Ok(Step::Hole(bytes.min(HOLE_BYTES)))
    }
}

/// What was read of a file.
#[derive(Debug, Default)]
pub struct Content {
    /// How many bytes.
    pub bytes: u64,
    /// Their digests, in the order asked.
    pub digests: Vec<Digest>,
    /// Whether these bytes are one state of the source: it did not change meanwhile, and all of
    /// it was read.
    pub whole: bool,
}

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Its name, for show.
    pub path: &'a [u8],
    /// The digests taken.
    pub algorithms: &'a [Algorithm],
    /// Whether holes are looked for, and not given to `each`.
    pub holes: bool,
}

/// Reads a file to its end, giving each chunk of data with its offset to `each`.
///
/// A source whose size is told as 0 may still have content (files of procfs do), so its end is
/// where a read returns nothing.
///
/// # Errors
/// Those of the reader and of `each`, and `Cancelled`.
pub fn read(
    job: &Job,
    reader: &dyn Reader,
    buffer: &mut ChunkBuffer,
    how: Reading<'_>,
    mut each: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<Content> {
    let (size, _) = reader.facts();
    let end = if size == 0 { u64::MAX } else { size };
    let shown = job.show(how.path, size);
    let mut hashers: Vec<Hasher> = how.algorithms.iter().map(|a| Hasher::new(*a)).collect();
    let mut cursor = Cursor::new(job, reader, how.holes);
    let mut offset = 0u64;
    while offset < end {
        let count = match cursor.step(offset, end, &mut buffer.bytes)? {
            Step::End => break,
            Step::Hole(count) => {
                hashers.iter_mut().for_each(|hasher| hasher.zeros(count));
                count
            }
            Step::Data(count) => {
                let chunk = buffer.bytes.get(..count).unwrap_or_default();
                if !hashers.is_empty() {
                    let hash = || hashers.iter_mut().for_each(|h| h.update(chunk));
                    job.progress.timed(Spent::Hash, hash);
                }
                each(offset, chunk)?;
                count as u64
            }
        };
        offset += count;
        add(&job.progress.bytes_done, count);
        if let Some(shown) = &shown {
            shown.add(count);
        }
    }
    let whole = (offset == size || size == 0) && reader.unchanged()?;
    let digests = hashers.into_iter().map(Hasher::finish).collect();
    Ok(Content { bytes: offset, digests, whole })
}
