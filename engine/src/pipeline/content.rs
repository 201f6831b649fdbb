//! One file's bytes: read, limited, digested, and handed on, chunk by chunk.

use crate::endpoint::contract::Reader;
use memmap2::MmapMut;

use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
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
        let (left, right) = job.take_memory(2 * bytes)?.split(bytes);
        Ok([Self::granted(left, bytes)?, Self::granted(right, bytes)?])
    }

    fn granted(permit: Permit, bytes: u64) -> Result<Self> {
        let mapped = MmapMut::map_anon(bytes as usize).map_err(|error| {
            EngineError::new(Kind::Memory, "the system gives no memory")
                .because("mmap", error.raw_os_error())
        })?;
        Ok(Self { bytes: mapped, _permit: permit })
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// What was read of a file.
#[derive(Debug)]
pub struct Content {
    /// How many bytes.
    pub bytes: u64,
    /// Their digests, in the order asked.
    pub digests: Vec<Digest>,
    /// Whether these bytes are one state of the source: it did not change meanwhile, and all of
    /// it was read.
    pub whole: bool,
}

/// Reads a file to its end, giving each chunk with its offset to `each`.
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
    algorithms: &[Algorithm],
    path: &[u8],
    mut each: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<Content> {
    let (size, _) = reader.facts();
    let shown = job.show(path, size);
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|a| Hasher::new(*a)).collect();
    let mut offset = 0u64;
    while size == 0 || offset < size {
        let want = if size == 0 { u64::MAX } else { size - offset };
        let want = want.min(buffer.bytes.len() as u64);
        job.take_bytes(want.min(size.max(1)))?;
        let chunk = buffer.bytes.get_mut(..want as usize).unwrap_or_default();
        let count = job.progress.timed(Spent::SourceRead, || reader.read_at(offset, chunk))?;
        let Some(chunk) = chunk.get(..count).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        if !hashers.is_empty() {
            job.progress.timed(Spent::Hash, || hashers.iter_mut().for_each(|h| h.update(chunk)));
        }
        each(offset, chunk)?;
        offset += count as u64;
        add(&job.progress.bytes_done, count as u64);
        if let Some(shown) = &shown {
            shown.add(count as u64);
        }
    }
    let whole = (offset == size || size == 0) && reader.unchanged()?;
    let digests = hashers.into_iter().map(Hasher::finish).collect();
    Ok(Content { bytes: offset, digests, whole })
}
