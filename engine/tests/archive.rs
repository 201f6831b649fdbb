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

use migration_engine::archive::{
    ArchiveSource, Entry, INDEX_KIND, IndexWriter, Kind as MemberKind, Member, Opening, encode,
    end_of_archive, footer, wrap,
};
use migration_engine::codec::{self, Caps, Frame, Packing, seek_table, skippable};
use migration_engine::endpoint::contract::{ObjectSource as _, Reader};
use migration_engine::error::{Kind, Result};
use migration_engine::model::item::{Attributes, Handle, Identity, Timestamp};
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
        table_bytes: 1 << 20,
        stream_bytes: 0,
        pass: &|| Ok(()),
        disk: None,
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

/// Two halves of a file with zeros between them, which notes the longest buffer it was given.
struct Sparse {
    head: Vec<u8>,
    gap: u64,
    tail: Vec<u8>,
    longest: Arc<AtomicU64>,
}

impl Reader for Sparse {
    fn facts(&self) -> (u64, Attributes) {
        ((self.head.len() + self.tail.len()) as u64 + self.gap, Attributes::default())
    }

    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.longest.fetch_max(buffer.len() as u64, Ordering::Relaxed);
        let head = self.head.len() as u64;
        let copy = |from: &[u8], buffer: &mut [u8]| {
            let count = from.len().min(buffer.len());
            buffer[..count].copy_from_slice(&from[..count]);
            count
        };
        Ok(if offset < head {
            copy(&self.head[offset as usize..], buffer)
        } else if offset < head + self.gap {
            let count = buffer.len().min((head + self.gap - offset) as usize);
            buffer[..count].fill(0);
            count
        } else {
            copy(&self.tail[(offset - head - self.gap) as usize..], buffer)
        })
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        Ok(Some(offset..self.facts().0))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        Ok(true)
    }
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let Packing::Members { coder, .. } = codec::by_name("zstd").unwrap().packing else {
        panic!("zstd is written in members");
    };
    let mut out = Vec::new();
    coder(3).unwrap().pack(plain, &mut out).unwrap();
    out
}

fn empty(path: &[u8]) -> Member {
    let entry = Entry {
        path: path.to_vec(),
        kind: MemberKind::File,
        size: 0,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Timestamp::new(0, 0),
    };
    Member { entry, data: 512, crc: None, links: 1, refused: None }
}

/// What looking for a member gives in an archive with this chunk of an index, which zeros make
/// longer and whose footer counts so many members; and the longest buffer that was read to.
fn looked_for(chunk: &[u8], gap: u64, members: u64, opening: (u64, Caps)) -> (Option<Kind>, u64) {
    let tar = packed(&[&encode(&empty(b"a").entry)[..], &end_of_archive()].concat());
    let plain = encode(&empty(b"a").entry).len() + end_of_archive().len();
    let footer = footer(members, &[tar.len() as u64]);
    let table = seek_table(&[
        Frame { stored: tar.len() as u32, plain: plain as u32 },
        Frame { stored: chunk.len() as u32 + gap as u32, plain: 0 },
        Frame { stored: footer.len() as u32, plain: 0 },
    ]);
    let longest = Arc::new(AtomicU64::new(0));
    let open = || -> Result<Box<dyn Reader>> {
        let (head, tail) = ([&tar, chunk].concat(), [&footer[..], &table].concat());
        Ok(Box::new(Sparse { head, gap, tail, longest: Arc::clone(&longest) }))
    };
    let opening = Opening {
        codec: codec::by_name("zstd"),
        caps: opening.1,
        frames_kept: 1,
        table_bytes: opening.0,
        stream_bytes: 64 << 20,
        pass: &|| Ok(()),
        disk: None,
        open: &open,
    };
    let found = ArchiveSource::open(&opening, Identity::default())
        .and_then(|source| source.find(&ItemPath::parse(b"not there").unwrap()));
    (found.err().map(|error| error.kind()), longest.load(Ordering::Relaxed))
}

#[test]
fn a_hostile_index_is_damage_and_takes_no_memory() {
    const TABLES: (u64, Caps) = (1 << 20, Caps::NONE);
    let chunk = |members: &[Member]| {
        let mut index = IndexWriter::default();
        members.iter().for_each(|member| index.add(member));
        index.take()
    };
    let wrapped = |records: &[u8]| wrap(&packed(records), records.len());
    let honest = chunk(&[empty(b"a")]);
    assert_eq!(looked_for(&wrapped(&honest), 0, 1, TABLES).0, None);
    let corrupt = Some(Kind::SourceCorrupt);
    assert_eq!(looked_for(&wrapped(&honest), 0, 2, TABLES).0, corrupt, "one member is missing");

    let (kind, longest) = looked_for(&wrapped(&honest), 1 << 30, 1, TABLES);
    assert_eq!(kind, corrupt, "a chunk of 1 GiB");
    assert!(longest < 8 << 20, "{longest}");

    let mut beyond = empty(b"a");
    (beyond.data, beyond.entry.size) = (u64::MAX, 2);
    assert_eq!(looked_for(&wrapped(&chunk(&[beyond])), 0, 1, TABLES).0, corrupt, "beyond all");
    let mut late = honest.clone();
    // Behind two lengths, a name of one byte, a kind, a digest's mark, mode, uid and gid.
    late[4 + 1 + 4 + 2 + 12..][..4].copy_from_slice(&1_000_000_000u32.to_le_bytes());
    assert_eq!(looked_for(&wrapped(&late), 0, 1, TABLES).0, corrupt, "a second of nanoseconds");

    let many = vec![empty(b"a"); 40_000];
    assert_eq!(looked_for(&wrapped(&chunk(&many)), 0, 40_000, TABLES).0, corrupt, "2 MiB and more");
    let capped = (1 << 20, Caps { max_bytes: 100_000, max_ratio: u64::MAX });
    let some = wrapped(&chunk(&many[..2000]));
    assert_eq!(looked_for(&some, 0, 2000, capped).0, Some(Kind::OutputLimit));
}

#[test]
fn an_archive_whose_tables_have_no_room_is_read_in_order() {
    let chunk = skippable(INDEX_KIND, b"no index");
    let damaged = looked_for(&chunk, 0, 1, (1 << 20, Caps::NONE));
    assert_eq!(damaged.0, Some(Kind::SourceCorrupt));
    assert_eq!(looked_for(&chunk, 0, 1, (256, Caps::NONE)).0, None);
}

/// An archive of these frames in memory, each with the plain bytes that its table tells.
fn framed(frames: &[(Vec<u8>, usize)]) -> Arc<Vec<u8>> {
    let told = |(stored, plain): &(Vec<u8>, usize)| Frame {
        stored: stored.len() as u32,
        plain: *plain as u32,
    };
    let table = seek_table(&frames.iter().map(told).collect::<Vec<_>>());
    let stored = frames.iter().flat_map(|(stored, _)| stored.clone());
    Arc::new(stored.chain(table).collect())
}

fn opened<T>(bytes: &Arc<Vec<u8>>, with: impl FnOnce(&ArchiveSource<'_>) -> T) -> T {
    let open = || -> Result<Box<dyn Reader>> {
        Ok(Box::new(Counted { bytes: Arc::clone(bytes), read: Arc::default() }))
    };
    let opening = Opening {
        codec: codec::by_name("zstd"),
        caps: Caps::NONE,
        frames_kept: 1,
        table_bytes: 1 << 20,
        stream_bytes: 64 << 20,
        pass: &|| Ok(()),
        disk: None,
        open: &open,
    };
    with(&ArchiveSource::open(&opening, Identity::default()).unwrap())
}

#[test]
fn a_table_hides_no_member() {
    let header = |name: &[u8]| encode(&empty(name).entry);
    let told = |plain: Vec<u8>| (packed(&plain), plain.len());
    let hidden = (packed(&header(b"hidden")), 0);
    let end = told(end_of_archive().to_vec());
    for frames in [
        vec![told(header(b"seen")), hidden.clone(), end.clone()],
        // Two frames in one that is said to be skippable and of another length.
        vec![told(header(b"seen")), ([skippable(1, b""), hidden.0].concat(), 0), end],
    ] {
        let archive = framed(&frames);
        for name in [&b"seen"[..], b"hidden"] {
            let path = ItemPath::parse(name).unwrap();
            let found = opened(&archive, |source| source.find(&path).unwrap().is_some());
            assert!(found, "{}", String::from_utf8_lossy(name));
        }
    }
}

#[test]
fn an_index_that_tells_of_other_members_than_the_tar_opens_none_of_them() {
    let header = encode(&empty(b"real").entry);
    let tar = [&header[..], &header, &end_of_archive()].concat();
    let opens = |member: Member| {
        let mut index = IndexWriter::default();
        index.add(&member);
        let records = index.take();
        let tar = (packed(&tar), tar.len());
        let chunk = wrap(&packed(&records), records.len());
        let footer = footer(1, &[tar.0.len() as u64]);
        opened(&framed(&[tar, (chunk, 0), (footer, 0)]), |source| {
            assert!(source.is_indexed());
            let path = ItemPath::parse(&member.entry.path).unwrap();
            let item = source.find(&path).unwrap().unwrap();
            source.open(&item).map(drop).map_err(|error| error.kind())
        })
    };
    let with = |change: &dyn Fn(&mut Member)| {
        let mut member = empty(b"real");
        change(&mut member);
        member
    };
    assert_eq!(opens(with(&|_| {})), Ok(()));
    assert_eq!(opens(with(&|member| member.data = 1024)), Ok(()));
    let names = |member: &mut Member| (member.entry.path, member.links) = (b"name".to_vec(), 2);
    assert_eq!(opens(with(&names)), Ok(()), "one more name");
    let other = |member: &mut Member| member.entry.path = b"other".to_vec();
    assert_eq!(opens(with(&other)), Err(Kind::SourceCorrupt));
    assert_eq!(opens(with(&|member| member.entry.size = 9)), Err(Kind::SourceCorrupt));
    for data in [0, 100, 511, 1000, 1536, 1 << 40] {
        assert_eq!(opens(with(&|member| member.data = data)), Err(Kind::SourceCorrupt), "{data}");
    }
}
