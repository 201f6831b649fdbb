//! Lists of names and digests, written in the same pass and read back to compare.
//!
//! Two forms: JSON Lines with everything known about an item, and the text that coreutils'
//! `sha256sum` and its kin read. `PROTOCOL.md` §8 has both.

use std::io::{BufRead as _, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::digest::{Algorithm, Digest};
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::parts::{PartDigest, part_bytes, pieces};
use crate::model::path::temp_name;
use crate::platform::operator;
use crate::resource::budget::Permit;

/// Longest line of a manifest, bytes.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Memory asked for at once while lines wait to be sorted, bytes.
const SORT_STEP_BYTES: u64 = 1 << 20;

/// Which form a manifest has, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON Lines, in order of completion.
    Lines,
    /// Digest and name, sorted by name.
    Sums,
}

impl Form {
    /// The form of the manifest of this name.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        if path.ends_with(b".jsonl") { Self::Lines } else { Self::Sums }
    }
}

/// What is listed about an item that is done.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// Bytes of content.
    pub bytes: u64,
    /// Digests of it.
    pub digests: Vec<Digest>,
    /// Digests of a large file's parts, in order.
    pub pieces: Vec<PartDigest>,
    /// Bytes written, where they are not those read.
    pub stored: Option<u64>,
}

/// Writes a manifest under a temporary name, published by [`ManifestWriter::finish`].
pub struct ManifestWriter {
    form: Form,
    path: PathBuf,
    temp: PathBuf,
    /// Device and inode of the file being written, and of the one it replaces.
    own: [Option<(u64, u64)>; 2],
    out: Mutex<Out>,
}

struct Out {
    file: BufWriter<std::fs::File>,
    /// Names and lines of the sorted form.
    sums: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: u64,
    permits: Vec<Permit>,
}

fn failed(path: &std::path::Path, call: &'static str, error: &std::io::Error) -> EngineError {
    let message = format!("failed to write the manifest {}", path.display());
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Kind::DestinationNoSpace
        }
        std::io::ErrorKind::PermissionDenied => Kind::DestinationPermission,
        std::io::ErrorKind::NotADirectory => Kind::DestinationType,
        _ => Kind::DestinationWrite,
    };
    EngineError::new(kind, message).because(call, error.raw_os_error())
}

impl ManifestWriter {
    /// Begins a manifest at this path of the operator.
    ///
    /// # Errors
    /// `DestinationWrite`, `DestinationPermission`, `DestinationNoSpace`.
    pub fn begin(job: &Job, path: &[u8]) -> Result<Self> {
        let target = operator::path(path).to_owned();
        let Some((folder, _)) = operator::split(path) else {
            let message = "the manifest's path names no file";
            return Err(EngineError::new(Kind::InvalidField, message).field("manifest"));
        };
        let made = operator::make_dirs(folder, 0o777).map_err(|e| failed(&target, "mkdir", &e))?;
        for above in made.iter().filter_map(|dir| dir.parent()) {
            operator::sync_dir(above).map_err(|e| failed(&target, "fsync", &e))?;
        }
        let temp = temp_name(&job.name, job.next_temp());
        let temp = operator::path(folder).join(operator::path(&temp));
        let file = operator::create_private(&temp).map_err(|e| failed(&target, "open", &e))?;
        let out =
            Out { file: BufWriter::new(file), sums: Vec::new(), bytes: 0, permits: Vec::new() };
        let own = [file_id(temp.as_os_str().as_encoded_bytes()), file_id(path)];
        Ok(Self { form: Form::of(path), path: target, temp, own, out: Mutex::new(out) })
    }

    /// Adds an item that is done under its name, in the JSON Lines form.
    ///
    /// # Errors
    /// As [`ManifestWriter::begin`].
    pub fn add(&self, item: &Item, name: &[u8], done: &Listed) -> Result<()> {
        self.write(&json_line(item, name, done))
    }

    /// Adds a file under another name than its path, in whichever form this is.
    ///
    /// # Errors
    /// As [`ManifestWriter::begin`]; `Memory` when more lines wait to be sorted than memory holds.
    pub fn add_named(&self, job: &Job, item: &Item, name: &[u8], done: &Listed) -> Result<()> {
        if self.form == Form::Lines {
            return self.write(&json_line(item, name, done));
        }
        let Some(digest) = done.digests.first() else {
            return Ok(());
        };
        let line = sums_line(name, &digest.hex);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.bytes += (line.len() + name.len() + 64) as u64;
        while out.bytes > out.permits.len() as u64 * SORT_STEP_BYTES {
            // Never waits: the worker holds a buffer that others may wait for.
            let permit = job.engine.budget.try_take(SORT_STEP_BYTES).ok_or_else(|| {
                let message = "the sorted manifest does not fit into memory";
                EngineError::new(Kind::Memory, message)
                    .hint("name the manifest .jsonl, which is not sorted, or raise --memory-cap")
            })?;
            out.permits.push(permit);
        }
        out.sums.push((name.to_vec(), line));
        Ok(())
    }

    fn write(&self, line: &[u8]) -> Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.file.write_all(line).map_err(|error| failed(&self.path, "write", &error))
    }

    /// Whether an item is this manifest: the one being written, or the older one it replaces.
    #[must_use]
    pub fn is(&self, item: &Item) -> bool {
        let own = (item.identity.dev, item.identity.ino);
        self.own.contains(&Some(own))
    }

    /// Publishes the manifest, replacing an older one. Returns its path.
    ///
    /// # Errors
    /// As [`ManifestWriter::begin`].
    pub fn finish(self) -> Result<Vec<u8>> {
        let written = self.write_out();
        if let Err(error) = written {
            self.discard();
            return Err(error);
        }
        Ok(self.path.into_os_string().into_encoded_bytes())
    }

    fn write_out(&self) -> Result<()> {
        let step = |call| move |error: std::io::Error| failed(&self.path, call, &error);
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = std::mem::take(&mut out.sums);
        sums.sort_unstable();
        for (_, line) in &sums {
            out.file.write_all(line).map_err(step("write"))?;
        }
        out.file.flush().map_err(step("write"))?;
        let file = out.file.get_ref();
        crate::platform::dir::set_mode(file, 0o666 & !crate::platform::process::umask())
            .map_err(|e| step("fchmod")(e.into()))?;
        file.sync_all().map_err(step("fsync"))?;
        operator::rename(&self.temp, &self.path).map_err(step("rename"))?;
        // The name lasts before the result speaks of it.
        operator::sync_dir(self.temp.parent().unwrap_or(&self.temp)).map_err(step("fsync"))
    }

    /// Removes what was written: the job ends early.
    pub fn discard(self) {
        drop(operator::remove_file(&self.temp));
    }
}

/// Does `work` with the manifest that is asked for, if any, and publishes it after. Returns what
/// `work` gave, and the manifest's path.
///
/// # Errors
/// Those of `work`, and of the manifest; what was written of it is removed.
pub fn with_manifest<T>(
    job: &Job,
    path: Option<&[u8]>,
    work: impl FnOnce(Option<&ManifestWriter>) -> Result<T>,
) -> Result<(T, Option<Vec<u8>>)> {
    let Some(path) = path else {
        return work(None).map(|given| (given, None));
    };
    let writer = ManifestWriter::begin(job, path)?;
    match work(Some(&writer)) {
        Ok(given) => Ok((given, Some(writer.finish()?))),
        Err(error) => {
            writer.discard();
            Err(error)
        }
    }
}

/// Refuses a manifest that would replace the very thing at `location`.
///
/// # Errors
/// `Overlap`.
pub fn refuse_as_manifest(path: &[u8], location: &Location) -> Result<()> {
    let same = location.scheme == "file"
        && file_id(path).is_some_and(|manifest| file_id(&location.path) == Some(manifest));
    if !same {
        return Ok(());
    }
    let message = "the manifest would replace the file it is about";
    Err(EngineError::new(Kind::Overlap, message).field("manifest").hint("name another file"))
}

fn file_id(path: &[u8]) -> Option<(u64, u64)> {
    let facts = crate::platform::dir::facts_of_path(path).ok()?;
    Some((facts.identity.dev, facts.identity.ino))
}

fn json_line(item: &Item, name: &[u8], done: &Listed) -> Vec<u8> {
    let mut object = serde_json::json!({
        "path": String::from_utf8_lossy(name),
        "kind": item.kind.name(),
    });
    if std::str::from_utf8(name).is_err() {
        object["path_b64"] = BASE64.encode(name).into();
    }
    object["mtime_ns"] = item.attributes.mtime.0.to_string().into();
    match &item.link {
        Some(text) => {
            object["link"] = String::from_utf8_lossy(text).into();
            if std::str::from_utf8(text).is_err() {
                object["link_b64"] = BASE64.encode(text).into();
            }
        }
        None if item.kind == ItemKind::Special => object["mode"] = item.attributes.mode.into(),
        None => {
            object["bytes"] = done.bytes.into();
            object["mode"] = item.attributes.mode.into();
            let pairs =
                done.digests.iter().map(|d| (d.algorithm.name().to_owned(), d.hex.clone().into()));
            object["digests"] = serde_json::Value::Object(pairs.collect());
            if let Some(stored) = done.stored {
                object["stored_bytes"] = stored.into();
            }
            if !done.pieces.is_empty() {
                let first = done.digests.first().map_or(Algorithm::Crc64Nvme, |d| d.algorithm);
                let algorithm = first.of_parts();
                object["chunks"] = serde_json::json!({
                    "bytes": part_bytes(done.bytes),
                    "algorithm": algorithm.name(),
                    "digests": pieces(algorithm, &done.pieces),
                });
            }
        }
    }
    let mut line = object.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// A line of coreutils' form, its newline included: a leading backslash says that the name is
/// escaped.
#[must_use]
pub fn sums_line(name: &[u8], hex: &str) -> Vec<u8> {
    let mut line = Vec::with_capacity(hex.len() + name.len() + 4);
    if name.iter().any(|b| matches!(b, b'\\' | b'\n' | b'\r')) {
        line.push(b'\\');
    }
    line.extend_from_slice(hex.as_bytes());
    line.extend_from_slice(b"  ");
    for byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    line
}

/// One entry of a manifest that is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The name as it stands there.
    pub name: Vec<u8>,
    /// Its digests; empty for what has none.
    pub digests: Vec<Digest>,
    /// Its size, where the form tells it.
    pub bytes: Option<u64>,
    /// Its kind.
    pub kind: ItemKind,
    /// A link's text.
    pub link: Option<Vec<u8>>,
}

/// Reads a manifest line by line, calling `each` with every entry.
///
/// # Errors
/// `SourceNotFound`, `SourceRead`, `ManifestInvalid` with the line's number, and those of `each`.
pub fn read(path: &[u8], mut each: impl FnMut(Expected) -> Result<()>) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::SourceNotFound,
            std::io::ErrorKind::PermissionDenied => Kind::SourcePermission,
            _ => Kind::SourceRead,
        };
        EngineError::new(kind, "failed to read the manifest")
            .because("read", error.raw_os_error())
            .at(path)
    };
    let file = operator::open_file(path).map_err(unreadable)?;
    let mut reader = std::io::BufReader::new(file);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let limited = &mut std::io::Read::take(&mut reader, LINE_BYTES_MAX as u64 + 1);
        if limited.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").filter(|_| text.starts_with(b"{")).unwrap_or(text);
        if text.is_empty() || text.starts_with(b"#") {
            continue;
        }
        let parsed = if line.len() > LINE_BYTES_MAX { None } else { parse(text) };
        let invalid = || {
            let message = format!("line {number} of the manifest is no entry");
            EngineError::new(Kind::ManifestInvalid, message).at(path)
        };
        each(parsed.ok_or_else(invalid)?)?;
    }
    Ok(())
}

fn parse(line: &[u8]) -> Option<Expected> {
    if line.starts_with(b"{") { parse_json(line) } else { parse_sums(line) }
}

fn parse_json(line: &[u8]) -> Option<Expected> {
    let object: serde_json::Value = serde_json::from_slice(line).ok()?;
    let bytes_of = |name: &str| {
        let exact = object.get(format!("{name}_b64"));
        match exact {
            Some(text) => BASE64.decode(text.as_str()?).ok(),
            None => Some(object.get(name)?.as_str()?.as_bytes().to_vec()),
        }
    };
    let mut digests = Vec::new();
    for (name, hex) in object.get("digests").and_then(|d| d.as_object()).into_iter().flatten() {
        let algorithm = Algorithm::from_name(name)?;
        digests.push(Digest { algorithm, hex: hex.as_str()?.to_ascii_lowercase() });
    }
    let kind = match object.get("kind").and_then(|kind| kind.as_str()) {
        Some("symlink") => ItemKind::Symlink,
        Some("special") => ItemKind::Special,
        Some("file") | None => ItemKind::File,
        Some(_) => return None,
    };
    let bytes = object.get("bytes").and_then(serde_json::Value::as_u64);
    Some(Expected { name: bytes_of("path")?, digests, bytes, kind, link: bytes_of("link") })
}

fn parse_sums(line: &[u8]) -> Option<Expected> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let end = line.iter().position(|b| *b == b' ')?;
    let hex = std::str::from_utf8(line.get(..end)?).ok()?.to_ascii_lowercase();
    let algorithm = match hex.len() {
        8 => Algorithm::Crc32c,
        16 => Algorithm::Crc64Nvme,
        32 => Algorithm::Md5,
        40 => Algorithm::Sha1,
        64 => Algorithm::Sha256,
        _ => return None,
    };
    let name = line.get(end + 2..).filter(|name| !name.is_empty())?;
    let mark = line.get(end + 1)?;
    if !hex.bytes().all(|b| b.is_ascii_hexdigit()) || !matches!(mark, b' ' | b'*') {
        return None;
    }
    let name = if escaped { unescape(name)? } else { name.to_vec() };
    let digests = vec![Digest { algorithm, hex }];
    Some(Expected { name, digests, bytes: None, kind: ItemKind::File, link: None })
}

fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        out.push(match (byte, *byte == b'\\') {
            (_, true) => match rest.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            (byte, false) => *byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_name_survives_the_sums_form(
            name in proptest::collection::vec(1u8..=255, 1..60)
                .prop_filter("no slash needed", |n| !n.contains(&b'/')),
        ) {
            let line = sums_line(&name, &"ab".repeat(32));
            let text = line.strip_suffix(b"\n").unwrap();
            prop_assert!(!text.contains(&b'\n'));
            prop_assert_eq!(parse_sums(text).unwrap().name, name);
        }

        #[test]
        fn any_line_gives_an_answer(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line);
        }
    }

    #[test]
    fn names_are_escaped_as_coreutils_do() {
        assert_eq!(sums_line(b"plain \xff", "00"), b"00  plain \xff\n");
        assert_eq!(sums_line(b"a\\b\nc\r", "00"), b"\\00  a\\\\b\\nc\\r\n");
    }

    #[test]
    fn lines_of_other_forms_are_refused() {
        for bad in ["", "x", "abc  name", "{}", "{\"path\":1}"] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        let binary = format!("{} *name", "0".repeat(32));
        assert_eq!(parse(binary.as_bytes()).unwrap().digests[0].algorithm, Algorithm::Md5);
    }
}
