//! Reading tar: from header to header, anybody's.

use rustix::fs::makedev;

use crate::archive::header::{BLOCK, NAME_BYTES, OCTAL_11_MAX, padding};
use crate::archive::member::{Entry, Kind, Member};
use crate::archive::names::item_path;
use crate::archive::plain::{Pass, Plain, fill};
use crate::error::{self, EngineError, Result};
use crate::journal::spill::SpillMap;
use crate::journal::state::StateDir;
use crate::limits::{ARCHIVE_NAMES_BYTES, ARCHIVE_RECORDS_BYTES_MAX};
use crate::model::item::Timestamp;

/// Names of a file whose other names may be anywhere: more than any filesystem allows.
const LINKS_UNKNOWN: u64 = u32::MAX as u64;

/// Goes through the members of a tar.
pub struct Scan<'a> {
    plain: &'a dyn Plain,
    pass: Pass<'a>,
    at: u64,
    /// What headers for all members behind them say.
    global: Ahead,
    /// Files met, for members that name one: where, and how large.
    files: SpillMap<'a>,
}

/// What headers in front of a member say about it.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<Timestamp>,
    sparse: bool,
}

impl Ahead {
    /// What this says, and where it says nothing, what `global` says.
    fn or(self, global: &Self) -> Self {
        Self {
            path: self.path.or_else(|| global.path.clone()),
            link: self.link.or_else(|| global.link.clone()),
            size: self.size.or(global.size),
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            mtime: self.mtime.or(global.mtime),
            sparse: self.sparse || global.sparse,
        }
    }
}

impl<'a> Scan<'a> {
    /// A scan from the beginning, which asks `pass` before each member; `disk` takes the names
    /// that memory does not hold.
    #[must_use]
    pub fn new(plain: &'a dyn Plain, pass: Pass<'a>, disk: Option<&'a StateDir>) -> Self {
        Self {
            plain,
            pass,
            at: 0,
            global: Ahead::default(),
            files: SpillMap::new(disk, ARCHIVE_NAMES_BYTES),
        }
    }

    /// The next member; `None` behind the last one.
    ///
    /// # Errors
    /// `SourceCorrupt` when this is no tar, or it is cut off; `StateDir`; those of `pass`.
    pub fn next(&mut self) -> Result<Option<Member>> {
        let mut ahead = Ahead::default();
        loop {
            (self.pass)()?;
            let begin = self.at;
            let Some(block) = self.block()? else {
                self.end()?;
                return Ok(None);
            };
            let header = Header::read(&block).map_err(|why| corrupt(why, begin))?;
            match header.flag {
                b'x' | b'L' | b'K' => self.ahead(&header, &mut ahead)?,
                b'g' => {
                    let mut global = std::mem::take(&mut self.global);
                    self.ahead(&header, &mut global)?;
                    self.global = global;
                }
                _ => {
                    let ahead = ahead.or(&self.global);
                    return self.member(&header, ahead).map(Some);
                }
            }
        }
    }

    /// A header; `None` for an empty block, which ends the tar.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        if fill(self.plain, self.at, &mut block)? < BLOCK {
            return Err(corrupt("the tar ends without its end mark", self.at));
        }
        self.at += BLOCK as u64;
        Ok(block.iter().any(|byte| *byte != 0).then_some(block))
    }

    /// Reads to the end of what is decoded, so that its checksums are checked too.
    fn end(&mut self) -> Result<()> {
        if !self.plain.in_order() {
            return Ok(());
        }
        let mut rest = vec![0; 64 << 10];
        loop {
            match self.plain.read_at(self.at, &mut rest)? {
                0 => return Ok(()),
                count => self.at += count as u64,
            }
        }
    }

    fn pass(&mut self, size: u64) -> Result<()> {
        let behind =
            size.checked_add(padding(size) as u64).and_then(|len| self.at.checked_add(len));
        self.at = behind.ok_or_else(|| corrupt("a tar header has a size beyond all", self.at))?;
        Ok(())
    }

    fn content(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > ARCHIVE_RECORDS_BYTES_MAX {
            return Err(corrupt("a tar header has records that are too long", self.at));
        }
        let mut content = vec![0; size as usize];
        if fill(self.plain, self.at, &mut content)? < content.len() {
            return Err(corrupt("the tar is cut off", self.at));
        }
        self.pass(size)?;
        Ok(content)
    }

    fn ahead(&mut self, header: &Header, ahead: &mut Ahead) -> Result<()> {
        let begin = self.at;
        let content = self.content(header.size)?;
        let text = || content.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match header.flag {
            b'L' => ahead.path = Some(text()),
            b'K' => ahead.link = Some(text()),
            _ => records(&content, ahead).ok_or_else(|| corrupt("bad pax records", begin))?,
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, ahead: Ahead) -> Result<Member> {
        let path = ahead.path.unwrap_or_else(|| header.path.clone());
        let link = ahead.link.unwrap_or_else(|| header.link.clone());
        let stored = ahead.size.unwrap_or(header.size);
        let (kind, size, mut refused) = match header.flag {
            b'0' | 0 | b'7' if path.ends_with(b"/") => (Kind::Directory, 0, None),
            b'0' | 0 | b'7' => (Kind::File, stored, None),
            b'1' => (Kind::Hard(link), 0, None),
            b'2' => (Kind::Symlink(link), 0, None),
            b'3' => (Kind::Characters(header.device), 0, None),
            b'4' => (Kind::Blocks(header.device), 0, None),
            b'5' => (Kind::Directory, 0, None),
            b'6' => (Kind::Fifo, 0, None),
            _ => (Kind::File, stored, Some("a kind of member that is not known")),
        };
        if ahead.sparse {
            refused = Some("a sparse member, written in a form that is not known");
        }
        let entry = Entry {
            path,
            kind,
            size,
            mode: header.mode,
            uid: ahead.uid.unwrap_or(header.uid),
            gid: ahead.gid.unwrap_or(header.gid),
            mtime: ahead.mtime.unwrap_or(Timestamp::new(header.mtime, 0)),
        };
        // How many names follow is not known until the end.
        let links = if entry.kind == Kind::File { LINKS_UNKNOWN } else { 1 };
        let member = Member { entry, data: self.at, crc: None, links, refused };
        self.pass(size)?;
        self.related(member)
    }

    /// Remembers files; gives a member that names one its content.
    fn related(&mut self, mut member: Member) -> Result<Member> {
        let name = |path: &[u8]| item_path(path).ok();
        if member.refused.is_some() {
            return Ok(member);
        }
        if member.entry.kind == Kind::File {
            if let Some(name) = name(&member.entry.path) {
                let place = [member.data.to_le_bytes(), member.entry.size.to_le_bytes()];
                self.files.put(self.files.key(name.as_bytes()), place.concat())?;
            }
        } else if let Kind::Hard(target) = &member.entry.kind {
            let key = name(target).map(|name| self.files.key(name.as_bytes()));
            let place = key.map_or(Ok(None), |key| self.files.get(key))?;
            match place.as_deref().and_then(numbers) {
                Some([data, size]) => {
                    member.data = data;
                    member.entry.size = size;
                    member.entry.kind = Kind::File;
                    member.links = LINKS_UNKNOWN;
                }
                None => member.refused = Some("one more name of a member that is not there"),
            }
        }
        Ok(member)
    }
}

/// Checks that the header just in front of a member's content says the same as an index that led
/// there: a file of this size, and where it has one name alone, this name as far as the header
/// itself holds it.
///
/// # Errors
/// `SourceCorrupt` when it says something else; those of `plain`.
pub fn agree(plain: &dyn Plain, member: &Member) -> Result<()> {
    let wrong = || corrupt("a header does not say what the index says", member.data);
    let begin = member.data.checked_sub(BLOCK as u64).ok_or_else(wrong)?;
    let mut block = [0; BLOCK];
    if fill(plain, begin, &mut block)? < BLOCK {
        return Err(wrong());
    }
    let header = Header::read(&block).map_err(|_| wrong())?;
    let Entry { path, size, .. } = &member.entry;
    let name = path.get(..NAME_BYTES).unwrap_or(path);
    let is_same = header.flag == b'0'
        && header.size == (*size).min(OCTAL_11_MAX)
        && (member.links > 1 || header.path == name);
    if is_same { Ok(()) } else { Err(wrong()) }
}

/// Numbers as they are stored one after the other.
fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (words, rest) = bytes.as_chunks();
    let words: &[[u8; 8]; N] = words.try_into().ok()?;
    rest.is_empty().then(|| words.map(u64::from_le_bytes))
}

fn corrupt(why: &str, at: u64) -> EngineError {
    let message = format!("{why}, at byte {at} of the tar");
    EngineError::new(error::Kind::SourceCorrupt, message)
}

/// A header as it stands.
struct Header {
    path: Vec<u8>,
    link: Vec<u8>,
    flag: u8,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    device: u64,
}

impl Header {
    fn read(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let part = |at: usize, len: usize| block.get(at..at + len).unwrap_or_default();
        let sum: u64 = block.iter().enumerate().fold(0, |sum, (at, byte)| {
            sum + u64::from(if (148..156).contains(&at) { b' ' } else { *byte })
        });
        if number(part(148, 8)) != Some(sum as i64) {
            return Err("a tar header does not have its checksum");
        }
        let text =
            |at, len| part(at, len).split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let is_ustar = part(257, 6) == b"ustar\0";
        let prefix = if is_ustar { text(345, 155) } else { Vec::new() };
        let name = text(0, 100);
        let path = if prefix.is_empty() { name } else { [prefix, name].join(&b'/') };
        // What is not understood is not taken for 0: content would be read as headers.
        let number =
            |at, len| number(part(at, len)).ok_or("a tar header has a number that is none");
        let size =
            u64::try_from(number(124, 12)?).map_err(|_| "a tar header has a size below 0")?;
        let id = |at| {
            u32::try_from(number(at, 8)?).map_err(|_| "a tar header has a number beyond all ids")
        };
        Ok(Self {
            path,
            link: text(157, 100),
            flag: part(156, 1).first().copied().unwrap_or_default(),
            size,
            mode: (number(100, 8)? & 0o7777) as u32,
            uid: id(108)?,
            gid: id(116)?,
            mtime: number(136, 12)?,
            device: makedev(id(329)?, id(337)?),
        })
    }
}

/// A number in octal digits, or in GNU's base 256.
fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let begin = if negative { -1i64 } else { i64::from(first & 0x3f) };
        let mut rest = field.get(1..)?.iter();
        return rest.try_fold(begin, |number, byte| {
            number.checked_mul(256)?.checked_add(i64::from(*byte))
        });
    }
    let digits = field.iter().skip_while(|byte| **byte == b' ');
    let mut digits = digits.take_while(|byte| !matches!(byte, b' ' | 0));
    digits.try_fold(0i64, |number, byte| match byte {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

/// Reads pax records; `None` when they are damaged.
fn records(mut bytes: &[u8], ahead: &mut Ahead) -> Option<()> {
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
        let decimal = || digits(std::str::from_utf8(value).ok()?)?.parse::<u64>().ok();
        let id = || u32::try_from(decimal()?).ok();
        match key {
            b"path" => ahead.path = Some(value.to_vec()),
            b"linkpath" => ahead.link = Some(value.to_vec()),
            b"size" => ahead.size = Some(decimal()?),
            b"uid" => ahead.uid = Some(id()?),
            b"gid" => ahead.gid = Some(id()?),
            b"mtime" => ahead.mtime = Some(time(value)?),
            _ => ahead.sparse |= key.starts_with(b"GNU.sparse."),
        }
        bytes = bytes.get(length..)?;
    }
    Some(())
}

/// The text, where it is of digits alone: numbers are read from texts with signs too.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// A time as decimal seconds, cut to nanoseconds.
fn time(value: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let seconds: i64 = digits(whole)?.parse().ok()?;
    let fraction: String =
        digits(fraction)?.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: i128 = fraction.parse().ok()?;
    Some(Timestamp(sign * (i128::from(seconds) * 1_000_000_000 + nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::header::{encode, end_of_archive};
    use proptest::prelude::*;

    struct Held(Vec<u8>);

    impl Plain for Held {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn unchanged(&self) -> Result<bool> {
            Ok(true)
        }
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let byte = (1u8..=255).prop_filter("a slash", |byte| *byte != b'/');
        let part = proptest::collection::vec(byte, 1..120);
        proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join(&b'/'))
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::File),
            Just(Kind::Directory),
            name().prop_map(Kind::Symlink),
            Just(Kind::Fifo),
            (0..4000u32, 0..4000u32).prop_map(|(a, b)| Kind::Characters(makedev(a, b))),
        ]
    }

    proptest! {
        #[test]
        fn headers_are_read_as_they_were_written(
            path in name(),
            kind in kind(),
            mode in 0..0o10000u32,
            ids in any::<(u32, u32)>(),
            seconds in -1_000_000_000_000i64..1_000_000_000_000,
            nanos in 0..1_000_000_000u32,
            size in prop_oneof![0..2000u64, Just(8 << 30), Just(u64::from(u32::MAX) << 20)],
        ) {
            prop_assume!(item_path(&path).is_ok());
            let size = if kind == Kind::File { size } else { 0 };
            let entry = Entry {
                path, kind, size, mode,
                uid: ids.0, gid: ids.1,
                mtime: Timestamp::new(seconds, nanos),
            };
            let held = Held([&encode(&entry)[..], &end_of_archive()].concat());
            let mut scan = Scan::new(&held, &|| Ok(()), None);
            let mut read = scan.next().unwrap().unwrap();
            if read.entry.kind == Kind::Directory {
                prop_assert_eq!(read.entry.path.pop(), Some(b'/'));
            }
            prop_assert_eq!(read.entry, entry);
        }

        #[test]
        fn any_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let held = Held(bytes);
            let mut scan = Scan::new(&held, &|| Ok(()), None);
            while let Ok(Some(_)) = scan.next() {}
        }
    }

    #[test]
    fn times_keep_their_sign_and_their_nanoseconds() {
        for (text, nanos) in [
            ("1.5", 1_500_000_000),
            ("-1.5", -1_500_000_000),
            ("-0.000000001", -1),
            ("7", 7_000_000_000),
            ("1.1234567899", 1_123_456_789),
        ] {
            assert_eq!(time(text.as_bytes()), Some(Timestamp(nanos)), "{text}");
        }
        for text in ["x", "", "+1", "1.-5", "1.5.5", "--1", "99999999999999999999"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    /// Reads all members of a tar that begins with this block.
    fn walked(block: &[u8]) -> Result<Vec<Member>> {
        let held = Held([block, &end_of_archive()].concat());
        let mut scan = Scan::new(&held, &|| Ok(()), None);
        std::iter::from_fn(|| scan.next().transpose()).collect()
    }

    #[test]
    fn a_number_that_is_none_is_damage_and_an_empty_one_is_0() {
        let fields = [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8)];
        let with = |(at, len): (usize, usize), text: &[u8]| {
            let mut block = file(b"a".to_vec(), Kind::File);
            block[at..at + len].fill(0);
            block[at..at + text.len()].copy_from_slice(text);
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            walked(&block)
        };
        for field in fields {
            for text in ["", " ", "       ", "\0 1"] {
                let members = with(field, text.as_bytes()).unwrap();
                assert_eq!(members.len(), 1, "{field:?} {text:?}");
            }
            for text in ["9", "x", "1x", "0x1", "-1", "+1", "1_0", "0o1"] {
                let error = with(field, text.as_bytes()).unwrap_err();
                assert_eq!(error.kind(), error::Kind::SourceCorrupt, "{field:?} {text:?}");
            }
        }
        for field in [(124, 12), (136, 12)] {
            let mut beyond = [0xff; 12];
            beyond[0] = 0x80;
            assert!(with(field, &beyond).is_err(), "{field:?}");
        }
        // 2^32, which would be 0 as an id.
        assert!(with((108, 8), &[0x80, 0, 0, 1, 0, 0, 0, 0]).is_err());
        assert!(with((124, 12), &[0xff; 12]).is_err(), "a size below 0");
    }

    #[test]
    fn records_for_all_members_hold_until_others_say_more() {
        let extended = |flag: u8, record: &str| {
            let mut block = file(b"records".to_vec(), Kind::File);
            block[124..135].copy_from_slice(format!("{:011o}", record.len()).as_bytes());
            block[156] = flag;
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            block.extend_from_slice(record.as_bytes());
            block.resize(2 * BLOCK, 0);
            block
        };
        let (all, one) = (extended(b'g', "9 uid=77\n"), extended(b'x', "9 uid=88\n"));
        let plain = file(b"a".to_vec(), Kind::File);
        let members = walked(&[&plain[..], &all, &plain, &one, &plain, &plain].concat()).unwrap();
        let owners: Vec<u32> = members.iter().map(|member| member.entry.uid).collect();
        assert_eq!(owners, [0, 77, 88, 77]);
        assert!(walked(&extended(b'g', "9 uid=-1\n")).is_err());
    }

    #[test]
    fn pax_records_with_numbers_that_are_none_are_damage() {
        let mut ahead = Ahead::default();
        for (key, value, is_good) in [
            ("uid", "4294967295", true),
            ("uid", "4294967296", false),
            ("gid", "4294967296", false),
            ("gid", "-1", false),
            ("gid", "+1", false),
            ("size", "18446744073709551616", false),
            ("size", "", false),
            ("mtime", "1.5", true),
            ("mtime", "soon", false),
        ] {
            let length = key.len() + value.len() + 5;
            let record = format!("{length:02} {key}={value}\n");
            let read = records(record.as_bytes(), &mut ahead);
            assert_eq!(read.is_some(), is_good, "{record}");
        }
    }

    fn file(path: Vec<u8>, kind: Kind) -> Vec<u8> {
        let mtime = Timestamp::new(0, 0);
        encode(&Entry { path, kind, size: 0, mode: 0o644, uid: 0, gid: 0, mtime })
    }

    #[test]
    fn names_of_a_file_far_back_are_found_and_hostile_ones_are_refused() {
        let count = ARCHIVE_NAMES_BYTES / 64;
        let files = (0..count).map(|n| file(format!("f{n}").into_bytes(), Kind::File));
        let mut tar: Vec<u8> = files.flatten().collect();
        let links = [b"f0".to_vec(), b"f1".to_vec(), b"lost".to_vec(), b"../f1".to_vec()];
        for (n, link) in links.into_iter().enumerate() {
            tar.extend(file(format!("link{n}").into_bytes(), Kind::Hard(link)));
        }
        tar.extend(end_of_archive());
        let (held, pass) = (Held(tar), || Ok(()));
        let mut scan = Scan::new(&held, &pass, None);
        let mut links = Vec::new();
        while let Some(member) = scan.next().unwrap() {
            if member.entry.path.starts_with(b"link") {
                links.push((member.data, member.refused.is_some()));
            }
        }
        let header = BLOCK as u64;
        assert_eq!(links[..2], [(header, false), (2 * header, false)]);
        assert!(links[2].1 && links[3].1);
    }
}
