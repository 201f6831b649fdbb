//! A file compressed or decompressed on its way, on one thread: files go several at once anyway.

use crate::codec::{self, Caps, Codec, Decoder, Encoder};
use crate::endpoint::contract::{Intake, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{MAX_BYTES, MAX_RATIO};
use crate::model::digest::{Algorithm, Hasher};
use crate::pipeline::content::{self, ChunkBuffer, Content, Reading};
use crate::progress::Spent;
use crate::resource::budget::Permit;

/// Bytes decoded at once.
const DECODED_AT_ONCE_BYTES: usize = 256 << 10;

/// What a worker holds for decoding, bytes: enough for zstd's usual window and for gzip.
const DECODER_BYTES: u64 = 9 << 20;

/// What happens to the files of a copy on their way.
#[derive(Clone, Copy)]
pub enum Recode {
    /// Each is compressed, and its name gets the form's ending.
    Pack(&'static Codec, u32),
    /// Those whose names end like a form are decompressed, and lose the ending.
    Unpack,
}

impl std::fmt::Debug for Recode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pack(codec, level) => write!(f, "Pack({}, {level})", codec.name),
            Self::Unpack => f.write_str("Unpack"),
        }
    }
}

/// What happens to one file.
#[derive(Clone, Copy)]
pub enum Way {
    /// Compressed.
    Pack(&'static Codec, u32),
    /// Decompressed.
    Unpack(&'static Codec),
}

impl Recode {
    /// What happens to the file of this name; `None` for one that goes as it is.
    #[must_use]
    pub fn way(self, name: &[u8]) -> Option<Way> {
        match self {
            Self::Pack(codec, level) => Some(Way::Pack(codec, level)),
            Self::Unpack => codec::by_ending(name)
                .filter(|codec| !stem(codec, name).is_empty())
                .map(Way::Unpack),
        }
    }

    /// Memory that a worker holds beside its chunk, bytes: for coding, and for decoding what is
    /// read back. What a single file needs beyond is taken when it comes.
    #[must_use]
    pub fn bytes(self, job: &Job, read_back: bool) -> u64 {
        match self {
            Self::Pack(codec, level) => {
                let again = if read_back { (codec.decoder_bytes)(&[]) } else { 0 };
                Encoder::bytes(codec, level, codec.block_bytes()) + again
            }
            Self::Unpack => DECODER_BYTES.min(job.engine.budget.total() / 8),
        }
    }
}

/// A name without its form's ending.
fn stem<'a>(codec: &Codec, name: &'a [u8]) -> &'a [u8] {
    let lower = name.to_ascii_lowercase();
    let end = codec.endings.iter().find(|end| lower.ends_with(end.as_bytes()));
    name.get(..name.len() - end.map_or(0, |end| end.len())).unwrap_or_default()
}

impl Way {
    /// The name at the destination of a file of this name.
    #[must_use]
    pub fn renamed(self, name: &[u8]) -> Vec<u8> {
        match self {
            Self::Pack(codec, _) => {
                [name, codec.endings.first().copied().unwrap_or_default().as_bytes()].concat()
            }
            Self::Unpack(codec) => stem(codec, name).to_vec(),
        }
    }

    /// Moves a file. Answers what was read of it, with the digests of the plain bytes, and how
    /// many bytes were written.
    ///
    /// # Errors
    /// Those of reader and intake; `SourceCorrupt`, `OutputLimit` of what is decompressed.
    pub fn run(
        self,
        job: &Job,
        reader: &dyn Reader,
        intake: &dyn Intake,
        buffer: &mut ChunkBuffer,
        how: Reading<'_>,
    ) -> Result<(Content, u64)> {
        let mut at = 0u64;
        let mut write = |bytes: &[u8]| {
            let write = || intake.write_at(at, bytes);
            job.progress.timed(Spent::DestinationWrite, write)?;
            at += bytes.len() as u64;
            Ok(())
        };
        let content = match self {
            Self::Pack(codec, level) => pack(job, reader, buffer, how, codec, level, &mut write)?,
            Self::Unpack(codec) => {
                let caps = Caps { max_bytes: MAX_BYTES, max_ratio: MAX_RATIO };
                let held = Recode::Unpack.bytes(job, false);
                unpack(job, reader, buffer, how, Stored { codec, caps, held }, &mut write)?
            }
        };
        Ok((content, at))
    }

    /// The plain bytes of what was written, and their digests, read again.
    ///
    /// # Errors
    /// Those of the reader; `VerifyMismatch` when it cannot be decoded.
    pub fn read_again(
        self,
        job: &Job,
        copy: &dyn Reader,
        buffer: &mut ChunkBuffer,
        how: Reading<'_>,
    ) -> Result<Content> {
        match self {
            Self::Unpack(_) => content::read(job, copy, buffer, how, |_, _| Ok(())),
            Self::Pack(codec, _) => {
                let held = (codec.decoder_bytes)(&[]);
                let form = Stored { codec, caps: Caps::NONE, held };
                let read = unpack(job, copy, buffer, how, form, &mut |_| Ok(()));
                read.map_err(|error| match error.kind() {
                    Kind::SourceCorrupt => {
                        let message = "what was written cannot be decoded";
                        EngineError::new(Kind::VerifyMismatch, message)
                    }
                    _ => error,
                })
            }
        }
    }
}

type Write<'a> = &'a mut dyn FnMut(&[u8]) -> Result<()>;

fn pack(
    job: &Job,
    reader: &dyn Reader,
    buffer: &mut ChunkBuffer,
    how: Reading<'_>,
    codec: &Codec,
    level: u32,
    write: Write<'_>,
) -> Result<Content> {
    let mut encoder = Encoder::new(codec, level)?;
    let mut out = Vec::new();
    let content = content::read(job, reader, buffer, how, |_, chunk| {
        job.progress.timed(Spent::Compress, || encoder.take(chunk, &mut out))?;
        if !out.is_empty() {
            write(&out)?;
            out.clear();
        }
        Ok(())
    })?;
    job.progress.timed(Spent::Compress, || encoder.finish(&mut out))?;
    write(&out)?;
    Ok(content)
}

/// What is decoded.
#[derive(Clone, Copy)]
struct Stored<'a> {
    codec: &'a Codec,
    caps: Caps,
    /// Memory that the worker holds for it already, bytes.
    held: u64,
}

fn unpack(
    job: &Job,
    reader: &dyn Reader,
    buffer: &mut ChunkBuffer,
    how: Reading<'_>,
    form: Stored<'_>,
    write: Write<'_>,
) -> Result<Content> {
    let mut decoder = Decoder::new(form.codec, form.caps)?;
    let mut hashers: Vec<Hasher> = how.algorithms.iter().map(|a| Hasher::new(*a)).collect();
    let mut granted: Vec<Permit> = Vec::new();
    // Decoders ask for little at a time; what the worker holds already covers the first of it.
    let mut held = form.held;
    let mut scratch = vec![0; DECODED_AT_ONCE_BYTES];
    let stored = Reading { algorithms: &[] as &[Algorithm], ..how };
    let mut content = content::read(job, reader, buffer, stored, |_, chunk| {
        let mut grant = |bytes: u64| {
            let more = bytes.saturating_sub(held);
            held = held.saturating_sub(bytes);
            if more == 0 {
                return Ok(());
            }
            granted.push(job.engine.budget.take_ahead(more).ok_or_else(short_of_memory)?);
            Ok(())
        };
        let start = std::time::Instant::now();
        let taken = decoder.take(chunk, &mut scratch, &mut grant, &mut |plain| {
            hashers.iter_mut().for_each(|hasher| hasher.update(plain));
            write(plain)
        });
        job.progress.spend(Spent::Compress, start.elapsed());
        taken
    })?;
    if content.whole {
        decoder.finish()?;
    }
    content.bytes = decoder.given();
    content.digests = hashers.into_iter().map(Hasher::finish).collect();
    Ok(content)
}

fn short_of_memory() -> EngineError {
    EngineError::new(Kind::Memory, "decoding needs more memory than is free now")
        .hint("raise --memory-cap, or lower parallel_files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_gain_and_lose_their_endings() {
        let pack = Recode::Pack(codec::by_name("zstd").unwrap(), 3);
        assert_eq!(pack.way(b"a.csv").unwrap().renamed(b"a.csv"), b"a.csv.zst");
        let renamed = |name: &[u8]| Recode::Unpack.way(name).map(|way| way.renamed(name));
        assert_eq!(renamed(b"a.csv.GZ"), Some(b"a.csv".to_vec()));
        assert_eq!(renamed(b"a.lz4"), Some(b"a".to_vec()));
        assert_eq!((renamed(b"a.csv"), renamed(b".gz")), (None, None));
    }
}
