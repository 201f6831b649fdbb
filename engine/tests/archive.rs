//! What restoring single members costs, counted at the reader.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests make and judge the files they use"
)]

use std::ops::Range;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use migration_engine::archive::{ArchiveSource, Opening};
use migration_engine::codec::{self, Caps};
use migration_engine::endpoint::contract::{ObjectSource as _, Reader};
use migration_engine::error::Result;
use migration_engine::model::item::{Attributes, Handle, Identity};
use migration_engine::model::path::ItemPath;
use migration_fixtures::{Content, Sizes, SmallFiles};

/// A file in memory that counts what is read of it.
struct Counted {
    bytes: Arc<Vec<u8>>,
    read: Arc<AtomicU64>,
}

impl Reader for Counted {
    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn facts(&self) -> (u64, Attributes) {
        (self.bytes.len() as u64, Attributes::default())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        Ok(Some(offset..self.bytes.len() as u64))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        Ok(true)
    }
}

#[test]
fn one_member_of_many_is_read_by_its_frames_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    SmallFiles { count: 3000, sizes: Sizes::Fixed(16 << 10), fan_out: 300, seed: 1 }
        .build(&at("src"))
        .unwrap();
    let mut wanted = vec![0; 100_000];
    Content::new(9, 9).fill(0, &mut wanted);
    std::fs::write(at("src/wanted"), &wanted).unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_migration-engine"))
        .args(["--state-dir", "state", "compress", "src", "a.tar.zst"])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let bytes = Arc::new(std::fs::read(at("a.tar.zst")).unwrap());
    assert!(bytes.len() > 40 << 20, "{}", bytes.len());
    let read = Arc::new(AtomicU64::new(0));
    let open = || -> Result<Box<dyn Reader>> {
        Ok(Box::new(Counted { bytes: Arc::clone(&bytes), read: Arc::clone(&read) }))
    };
    let opening = Opening {
        codec: codec::by_name("zstd"),
        caps: Caps::NONE,
        frames_kept: 1,
        stream_bytes: 0,
        open: &open,
    };
    let source = ArchiveSource::open(&opening, Identity::default()).unwrap();
    assert!(source.is_indexed() && !source.in_order());
    let item = source.find(&ItemPath::parse(b"wanted").unwrap()).unwrap().unwrap();
    let reader = source.open(&item).unwrap();
    let mut content = vec![0; 200_000];
    let mut count = 0;
    loop {
        match reader.read_at(count as u64, &mut content[count..]).unwrap() {
            0 => break,
            more => count += more,
        }
    }
    assert!(reader.unchanged().unwrap());
    assert!(content[..count] == wanted);
    // Two frames, the index and the seek table, of some twelve frames.
    let read = read.load(Ordering::Relaxed);
    assert!(read < 9 << 20, "{read} of {}", bytes.len());
}
