//! Large files by parts: every digest and thread count gives the bytes and digests of one stream,
//! and whatever goes wrong stops everybody.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests judge what they made"
)]

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use migration_engine::endpoint::contract::{Intake, Reader, Staged, Target};
use migration_engine::error::{EngineError, Kind, Result};
use migration_engine::job::{Ended, Engine, Job, Listener};
use migration_engine::journal::keyed::{Ledger, Opened, open};
use migration_engine::journal::partial::Begun;
use migration_engine::limits::PART_BYTES;
use migration_engine::model::digest::{Algorithm, Digest, Hasher};
use migration_engine::model::found::Mark;
use migration_engine::model::item::{Attributes, Handle, Identity, Item, ItemKind};
use migration_engine::model::path::ItemPath;
use migration_engine::pipeline::content::ChunkBuffer;
use migration_engine::pipeline::parts::{Large, Moved};
use migration_engine::pipeline::receipts::Receipts;
use migration_engine::resource::budget::Budget;
use migration_engine::resource::workers::Workers;

struct Silent;

impl Listener for Silent {
    fn warning(&self, _: &EngineError) {}
    fn item(&self, _: &[u8], _: u64, _: Ended<'_>) {}
    fn checkpoint(&self, _: u64, _: bool, _: u64, _: u64) {}
    fn log(&self, _: &str) {}
    fn report_line(&self, _: &EngineError) -> Vec<u8> {
        Vec::new()
    }
    fn sample(&self, _: &serde_json::Value, _: &[(String, f64, f64)]) {}
}

fn job() -> Job {
    let engine = Engine {
        budget: Budget::new(64 << 20),
        workers: Workers::new(16),
        rates: Arc::default(),
        state: None,
        allow_secret_command: false,
        totals: Arc::default(),
    };
    Job::new("0123456789abcdef".to_owned(), engine, Arc::new(Silent))
}

/// A source in memory, with holes where it is told.
struct Source {
    bytes: Vec<u8>,
    /// What is told as its size.
    size: u64,
    holes: Vec<Range<u64>>,
    fails_at: u64,
    read: AtomicU64,
    changed: bool,
}

impl Source {
    fn new(len: usize) -> Self {
        let word = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let bytes: Vec<u8> = (0..len as u64 / 8 + 1).flat_map(word).take(len).collect();
        let (size, read) = (len as u64, AtomicU64::new(0));
        Self { bytes, size, holes: Vec::new(), fails_at: u64::MAX, read, changed: false }
    }

    fn with_holes(mut self, holes: &[Range<u64>]) -> Self {
        for hole in holes {
            self.bytes[hole.start as usize..hole.end as usize].fill(0);
        }
        self.holes = holes.to_vec();
        self
    }
}

impl Reader for Source {
    fn facts(&self) -> (u64, Attributes) {
        (self.size, Attributes::default())
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        if (offset..offset + buffer.len() as u64).contains(&self.fails_at) {
            return Err(EngineError::new(Kind::SourceRead, "broken").offset(offset));
        }
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        // Short reads are legal at any place.
        let count = rest.len().min(buffer.len()).min(700_001);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        let mut start = offset;
        for hole in &self.holes {
            if hole.contains(&start) {
                start = hole.end;
            } else if start < hole.start {
                return Ok(Some(start..hole.start));
            }
        }
        Ok((start < self.size).then_some(start..self.size))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        Ok(!self.changed)
    }
}

/// A destination in memory that counts.
struct Written {
    bytes: Mutex<Vec<u8>>,
    written: AtomicU64,
    synced: AtomicU64,
    fails_at: u64,
}

impl Written {
    fn new(len: u64) -> Self {
        let bytes = Mutex::new(vec![0; len as usize]);
        Self { bytes, written: 0.into(), synced: 0.into(), fails_at: u64::MAX }
    }
}

impl Intake for Written {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if (offset..offset + bytes.len() as u64).contains(&self.fails_at) {
            return Err(EngineError::new(Kind::DestinationWrite, "full"));
        }
        self.bytes.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn share(&self, _: &Handle) -> Result<bool> {
        Ok(false)
    }

    fn clear(&self, offset: u64, length: u64) -> Result<()> {
        self.bytes.lock().unwrap()[offset as usize..][..length as usize].fill(0);
        Ok(())
    }

    fn reserve(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn offload(&self, _: &Handle, _: u64, _: u64) -> Result<Option<u64>> {
        Ok(None)
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark::default())
    }

    fn sync(&self) -> Result<()> {
        self.synced.store(self.written.load(Ordering::Relaxed), Ordering::Relaxed);
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8], _: bool) -> Result<usize> {
        let all = self.bytes.lock().unwrap();
        let rest = all.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn seal(self: Box<Self>, _: u64, _: &Attributes, _: &Target) -> Result<Staged> {
        Err(EngineError::new(Kind::Unsupported, "not published here"))
    }

    fn abort(self: Box<Self>) {}
}

#[derive(Clone, Copy)]
struct Way {
    algorithm: Option<Algorithm>,
    threads: usize,
    chunk_bytes: u64,
    holes: bool,
}

fn large<'a>(job: &'a Job, reader: &'a Source, intake: &'a Written, way: Way) -> Large<'a> {
    Large {
        stored: None,
        remote: false,
        job,
        reader,
        intake: Some(intake),
        path: b"f",
        algorithm: way.algorithm,
        pieces: true,
        holes: way.holes,
        threads: way.threads,
        chunk_bytes: way.chunk_bytes,
        receipts: None,
    }
}

fn run(large: Large<'_>) -> Result<Moved> {
    let mut buffer = ChunkBuffer::new(large.job, large.chunk_bytes)?;
    large.run(&mut buffer)
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

const MIB: u64 = 1 << 20;

#[test]
fn every_way_gives_the_bytes_and_the_digest_of_one_stream() {
    let hole = [3 * MIB..17 * MIB + 5, 24 * MIB - 1..25 * MIB];
    for len in [2 * PART_BYTES, 2 * PART_BYTES + 1, 4 * PART_BYTES - 7] {
        let source = Source::new(len as usize).with_holes(&hole[..(len > 25 * MIB).into()]);
        for algorithm in [None].into_iter().chain(Algorithm::ALL.map(Some)) {
            let expected = Vec::from_iter(algorithm.map(|a| digest(a, &source.bytes)));
            let of_parts = algorithm.unwrap_or(Algorithm::Crc64Nvme).of_parts();
            let parts = source.bytes.chunks(PART_BYTES as usize);
            let parts: Vec<_> = parts.map(|part| digest(of_parts, part).hex).collect();
            for (threads, chunk_bytes) in [(1, MIB), (2, 65_536), (5, 32 * MIB)] {
                for holes in [false, true] {
                    let way = Way { algorithm, threads, chunk_bytes, holes };
                    let (job, intake) = (job(), Written::new(len));
                    let moved = run(large(&job, &source, &intake, way)).unwrap();
                    assert!(moved.content.whole && moved.content.bytes == len);
                    assert!(*intake.bytes.lock().unwrap() == source.bytes, "{algorithm:?}");
                    assert_eq!(moved.content.digests, expected);
                    let listed = migration_engine::model::parts::pieces(of_parts, &moved.pieces);
                    assert_eq!(listed, parts);
                    let data = if holes && len > 25 * MIB { 14 * MIB + 5 } else { 0 };
                    assert_eq!(intake.written.load(Ordering::Relaxed), len - data);
                    assert_eq!(job.progress.bytes_done.load(Ordering::Relaxed), len);
                }
            }
        }
    }
}

#[test]
fn a_failure_anywhere_stops_all_and_is_told() {
    let len = 4 * PART_BYTES;
    for algorithm in [None, Some(Algorithm::Crc64Nvme), Some(Algorithm::Sha256)] {
        for at in [0, PART_BYTES - 1, PART_BYTES + 3, len - 1] {
            let way = Way { algorithm, threads: 3, chunk_bytes: MIB, holes: false };
            let source = Source { fails_at: at, ..Source::new(len as usize) };
            let failed = run(large(&job(), &source, &Written::new(len), way));
            assert_eq!(failed.err().unwrap().kind(), Kind::SourceRead);
            let intake = Written { fails_at: at, ..Written::new(len) };
            let failed = run(large(&job(), &Source::new(len as usize), &intake, way));
            assert_eq!(failed.err().unwrap().kind(), Kind::DestinationWrite);
        }
        let way = Way { algorithm, threads: 3, chunk_bytes: MIB, holes: false };
        for missing in [1, MIB, 2 * PART_BYTES] {
            let source = Source { size: len, ..Source::new((len - missing) as usize) };
            let moved = run(large(&job(), &source, &Written::new(len), way)).unwrap();
            assert!(!moved.content.whole, "shrank by {missing}");
        }
        let source = Source { changed: true, ..Source::new(len as usize) };
        assert!(!run(large(&job(), &source, &Written::new(len), way)).unwrap().content.whole);
        let stopped = job();
        stopped.switch.cancel();
        let failed = run(large(&stopped, &Source::new(len as usize), &Written::new(len), way));
        assert_eq!(failed.err().unwrap().kind(), Kind::Cancelled);
    }
}

fn item(size: u64) -> Item {
    Item {
        path: ItemPath::parse(b"f").unwrap(),
        kind: ItemKind::File,
        size,
        attributes: Attributes::default(),
        identity: Identity { ino: 7, ..Identity::default() },
        link: None,
        special: None,
        handle: Handle::default(),
    }
}

fn ledger(dir: &std::path::Path, job: &str) -> Ledger {
    match open(dir, "k", &serde_json::json!({"op": "copy"}), job).unwrap() {
        Opened::Run(ledger) => ledger,
        Opened::Done(_) => panic!("not finished"),
    }
}

/// Parts with receipts are written once, unless what stands there is not what the receipt says.
#[test]
fn parts_of_an_earlier_attempt_are_read_back_and_not_written_again() {
    let len = 6 * PART_BYTES - 5;
    for algorithm in [None, Some(Algorithm::Blake3), Some(Algorithm::Crc32c), Some(Algorithm::Md5)]
    {
        let dir = tempfile::tempdir().unwrap();
        let way = Way { algorithm, threads: 2, chunk_bytes: MIB, holes: false };
        let (source, intake, job) = (Source::new(len as usize), Written::new(len), job());
        let begun = Begun::new(&item(len), b"t", Mark::default(), algorithm, PART_BYTES);
        // What a killed attempt left: everything written, and every other part with a receipt.
        let whole = run(large(&job, &source, &intake, way)).unwrap();
        let known = ledger(dir.path(), "a");
        let known_parts = (0..6).step_by(2).map(|part| (part, receipt(&source, way, part)));
        let parts: Vec<_> = known_parts.collect();
        known.commit_parts(b"f", &begun, &parts).unwrap();
        drop(known);
        let known = ledger(dir.path(), "b");
        let (again, earlier) = known.begun(b"f").unwrap().unwrap();
        assert!(again.fits(&item(len), algorithm, PART_BYTES) && earlier == parts);
        assert!(!again.fits(&item(len + 1), algorithm, PART_BYTES));
        // Of what nothing but a size tells, nobody knows whether it is the same.
        let unknown = Item { identity: Identity::default(), ..item(len) };
        let nameless = Begun::new(&unknown, b"t", Mark::default(), algorithm, PART_BYTES);
        assert!(!nameless.fits(&unknown, algorithm, PART_BYTES));
        // Somebody wrote into one of them since.
        intake.bytes.lock().unwrap()[2 * PART_BYTES as usize + 9] ^= 1;
        intake.written.store(0, Ordering::Relaxed);
        let receipts = Receipts::new(&known, b"f", again, Some(earlier), true);
        let resumed = Large { receipts: Some(receipts), ..large(&job, &source, &intake, way) };
        let moved = run(resumed).unwrap();
        assert!(*intake.bytes.lock().unwrap() == source.bytes, "{algorithm:?}");
        assert_eq!(moved.content.digests, whole.content.digests);
        assert_eq!(moved.pieces, whole.pieces);
        let written = intake.written.load(Ordering::Relaxed);
        assert_eq!(written, len - 2 * PART_BYTES, "{algorithm:?}");
        assert_eq!(known.begun_temps().unwrap(), [b"t".to_vec()]);
    }
}

fn receipt(
    source: &Source,
    way: Way,
    part: u64,
) -> migration_engine::journal::partial::PartReceipt {
    use migration_engine::model::parts::PartHasher;
    let start = (part * PART_BYTES) as usize;
    let end = (start + PART_BYTES as usize).min(source.bytes.len());
    let of = |algorithm: Algorithm| {
        let mut hasher = PartHasher::new(algorithm, start as u64)?;
        hasher.update(&source.bytes[start..end]);
        Some(hasher.finish())
    };
    let piece = of(way.algorithm.unwrap_or(Algorithm::Crc64Nvme).of_parts()).unwrap();
    let whole = way.algorithm.and_then(of);
    migration_engine::journal::partial::PartReceipt { whole, piece, tag: None }
}
