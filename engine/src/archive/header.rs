//! Writing tar: POSIX ustar headers, with pax records for what does not fit them.

use rustix::fs::{major, minor};

use crate::archive::member::{Entry, Kind};
use crate::model::item::Timestamp;

/// Bytes of a tar block.
pub const BLOCK: usize = 512;

/// Zero bytes behind so much content, up to the next block.
#[must_use]
pub fn padding(size: u64) -> usize {
    (BLOCK as u64 - 1 - (size + BLOCK as u64 - 1) % BLOCK as u64) as usize
}

/// The two empty blocks behind the last member.
#[must_use]
pub fn end_of_archive() -> [u8; 2 * BLOCK] {
    [0; 2 * BLOCK]
}

/// The blocks in front of a member's content.
#[must_use]
pub fn encode(entry: &Entry) -> Vec<u8> {
    let name = full_name(entry);
    let link = match &entry.kind {
        Kind::Symlink(text) | Kind::Hard(text) => text.as_slice(),
        _ => &[],
    };
    let mut records = Vec::new();
    if name.len() > NAME_BYTES {
        record(&mut records, b"path", &name);
    }
    if link.len() > NAME_BYTES {
        record(&mut records, b"linkpath", link);
    }
    if entry.size > OCTAL_11_MAX {
        record(&mut records, b"size", entry.size.to_string().as_bytes());
    }
    for (key, id) in [(&b"uid"[..], entry.uid), (b"gid", entry.gid)] {
        if id > OCTAL_7_MAX {
            record(&mut records, key, id.to_string().as_bytes());
        }
    }
    let seconds = entry.mtime.seconds();
    if entry.mtime.nanos() != 0 || !(0..=OCTAL_11_MAX as i64).contains(&seconds) {
        record(&mut records, b"mtime", decimal(entry.mtime).as_bytes());
    }
    let mut out = Vec::with_capacity(3 * BLOCK);
    if !records.is_empty() {
        out.extend_from_slice(&block(b"PaxHeaders/member", b"", b'x', records.len() as u64, entry));
        out.extend_from_slice(&records);
        out.resize(out.len() + padding(records.len() as u64), 0);
    }
    out.extend_from_slice(&block(&name, link, flag(&entry.kind), entry.size, entry));
    out
}

/// Bytes of a name, or of a link's text, in a header.
pub const NAME_BYTES: usize = 100;
/// Greatest number of eleven octal digits.
pub const OCTAL_11_MAX: u64 = (1 << 33) - 1;
/// Greatest number of seven octal digits.
const OCTAL_7_MAX: u32 = (1 << 21) - 1;

/// Directories end in a slash; the root is `./`.
fn full_name(entry: &Entry) -> Vec<u8> {
    match entry.kind {
        Kind::Directory if entry.path.is_empty() => b"./".to_vec(),
        Kind::Directory => [&entry.path[..], b"/"].concat(),
        _ => entry.path.clone(),
    }
}

fn flag(kind: &Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Hard(_) => b'1',
        Kind::Symlink(_) => b'2',
        Kind::Characters(_) => b'3',
        Kind::Blocks(_) => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if rest + digits(length) > length {
        length = rest + digits(length);
    }
    for part in [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Seconds with their fraction; before 1970 both are negative together.
fn decimal(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let nanos = time.0.unsigned_abs();
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn block(name: &[u8], link: &[u8], flag: u8, size: u64, entry: &Entry) -> [u8; BLOCK] {
    let octal = |number: u64, width: usize| format!("{number:0width$o}").into_bytes();
    let device = match entry.kind {
        Kind::Characters(number) | Kind::Blocks(number) => number,
        _ => 0,
    };
    let cut = |text: &[u8]| text.get(..NAME_BYTES).unwrap_or(text).to_vec();
    let bounded = |id: u32| octal(u64::from(id.min(OCTAL_7_MAX)), 7);
    let seconds = entry.mtime.seconds().clamp(0, OCTAL_11_MAX as i64) as u64;
    let fields: [(usize, Vec<u8>); 12] = [
        (0, cut(name)),
        (100, octal(u64::from(entry.mode & 0o7777), 7)),
        (108, bounded(entry.uid)),
        (116, bounded(entry.gid)),
        (124, octal(size.min(OCTAL_11_MAX), 11)),
        (136, octal(seconds, 11)),
        (148, vec![b' '; 8]),
        (156, vec![flag]),
        (157, cut(link)),
        (257, b"ustar\x0000".to_vec()),
        (329, octal(u64::from(major(device)), 7)),
        (337, octal(u64::from(minor(device)), 7)),
    ];
    let mut out = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        let room = out.iter_mut().skip(at);
        room.zip(bytes).for_each(|(to, from)| *to = *from);
    };
    for (at, bytes) in &fields {
        put(*at, bytes);
    }
    let sum: u32 = out.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ").into_bytes();
    let room = out.iter_mut().skip(148);
    room.zip(&sum).for_each(|(to, from)| *to = *from);
    out
}
