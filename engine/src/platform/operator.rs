//! Paths that the operator wrote: roots, manifests, configuration, state. The one home of path
//! based calls; links on the way are followed, as the operator meant them.

#![expect(clippy::disallowed_methods, reason = "this is the home of path-based calls")]

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::platform::dir::Dir;

/// The path with these bytes.
#[must_use]
pub fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Opens a directory, following links.
///
/// # Errors
/// Whatever the system says.
pub fn open_dir(bytes: &[u8]) -> Result<Dir, Errno> {
    let bytes: &[u8] = if bytes.is_empty() { b"." } else { bytes };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(bytes, flags, Mode::empty()).map(Dir::from)
}

/// Splits a path into its directory and its last name; `None` where it names no entry (`/`, `..`).
#[must_use]
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let trimmed = bytes.strip_suffix(b"/").map_or(bytes, |_| trim_slashes(bytes));
    let at = trimmed.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let (dir, name) = trimmed.split_at_checked(at)?;
    let usable = !name.is_empty() && name != b"." && name != b"..";
    usable.then_some((if dir.is_empty() { b"." } else { dir }, name))
}

fn trim_slashes(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

/// The path from the root of the filesystem, for records that outlive the working directory.
#[must_use]
pub fn absolute(bytes: &[u8]) -> Vec<u8> {
    let absolute = std::path::absolute(path(bytes)).map(PathBuf::into_os_string);
    absolute.map_or_else(|_| bytes.to_vec(), std::ffi::OsString::into_encoded_bytes)
}

/// Whether anything stands there, links that lead nowhere included. Nothing is opened.
#[must_use]
pub fn stands(bytes: &[u8]) -> bool {
    std::fs::symlink_metadata(path(bytes)).is_ok()
}

/// Makes a directory of this mode, and its parents with the usual one, less the umask. Returns the
/// directories it made, outermost first.
///
/// # Errors
/// Whatever the system says.
pub fn make_dirs(bytes: &[u8], mode: u32) -> io::Result<Vec<PathBuf>> {
    let target = path(bytes);
    let mut missing: Vec<PathBuf> = Vec::new();
    let mut at = Some(target);
    while let Some(dir) = at.filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        missing.push(dir.to_owned());
        at = dir.parent();
    }
    let mut made = Vec::new();
    while let Some(dir) = missing.pop() {
        // The target itself is shown to others only once its own mode is known.
        let mode = if missing.is_empty() { mode } else { 0o777 };
        match std::fs::DirBuilder::new().mode(mode).create(&dir) {
            Ok(()) => made.push(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

/// Makes the names in a directory durable.
///
/// # Errors
/// Whatever the system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = open_dir(dir.as_os_str().as_bytes())?;
    Ok(rustix::fs::fsync(&dir)?)
}

/// Opens a file for reading.
///
/// # Errors
/// Whatever the system says.
pub fn open_file(bytes: &[u8]) -> io::Result<std::fs::File> {
    std::fs::File::open(path(bytes))
}

/// Opens a file for reading and writing, making it for its owner alone where it is absent.
///
/// # Errors
/// Whatever the system says.
pub fn open_private(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
}

/// Makes a new file for its owner alone.
///
/// # Errors
/// Whatever the system says; `AlreadyExists` when it is there.
pub fn create_private(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Opens a file for its owner alone, to add to its end; makes it where it is not there.
///
/// # Errors
/// Whatever the system says.
pub fn append_private(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// As [`append_private`], held against others until it is dropped: it is the one that the name leads
/// to, whatever took its place meanwhile. Where the filesystem knows no locks it is not held.
///
/// # Errors
/// Whatever the system says.
pub fn append_held(path: &Path) -> io::Result<std::fs::File> {
    use std::os::unix::fs::MetadataExt as _;
    loop {
        let file = append_private(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let (held, named) = (file.metadata()?, std::fs::metadata(path));
        match named {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes a file anew from its old content, in one step and durably: others that use
/// [`append_held`] wait. `edit` tells whether anything is another than before; where it is not, and
/// where the name leads to no file, all stays as it is.
///
/// # Errors
/// Whatever the system says, and `edit`.
pub fn rewrite(
    path: &Path,
    edit: impl FnOnce(&mut dyn io::BufRead, &mut dyn io::Write) -> io::Result<bool>,
) -> io::Result<()> {
    use std::io::Write as _;
    let path = match std::fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !std::fs::metadata(&path)?.is_file() {
        return Ok(());
    }
    let held = append_held(&path)?;
    let mut part = path.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    remove_file(&part)?;
    let made = create_private(&part)?;
    let mut from = io::BufReader::new(std::fs::File::open(&path)?);
    let mut to = io::BufWriter::new(made);
    let edited = edit(&mut from, &mut to).and_then(|edited| to.flush().map(|()| edited));
    if !matches!(edited, Ok(true)) {
        remove_file(&part)?;
        return edited.map(drop);
    }
    let made = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    made.set_permissions(held.metadata()?.permissions())?;
    made.sync_all()?;
    rename(&part, &path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes a file without a name in a directory: it goes with its last handle.
///
/// # Errors
/// Whatever the system says.
pub fn nameless(dir: &Path) -> io::Result<std::fs::File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(dir, flags | OFlags::TMPFILE, mode) {
        Ok(file) => Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let path = dir.join(format!("nameless-{}", std::process::id()));
            let file = create_private(&path)?;
            remove_file(&path).map(|()| file)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Reads a small file whole.
///
/// # Errors
/// Whatever the system says; `InvalidData` above `bytes_max`.
pub fn read_small(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut out = Vec::new();
    std::fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut out)?;
    if out.len() as u64 > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large"));
    }
    Ok(out)
}

/// Writes a file whole, in place of an older one.
///
/// # Errors
/// Whatever the system says.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    std::fs::write(path, bytes)
}

/// The names in a directory.
///
/// # Errors
/// Whatever the system says.
pub fn names(dir: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}

/// Removes a file; one that is gone already is no error.
///
/// # Errors
/// Whatever the system says.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Renames a file over another.
///
/// # Errors
/// Whatever the system says.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// The permission bits of a file.
///
/// # Errors
/// Whatever the system says.
pub fn mode(file: &std::fs::File) -> io::Result<u32> {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().map(|facts| facts.mode() & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_into_directory_and_name() {
        assert_eq!(split(b"a"), Some((&b"."[..], &b"a"[..])));
        assert_eq!(split(b"/a/b//"), Some((&b"/a/"[..], &b"b"[..])));
        assert_eq!(split(b"/a"), Some((&b"/"[..], &b"a"[..])));
        for none in [&b"/"[..], b".", b"..", b"a/..", b"", b"//"] {
            assert_eq!(split(none), None);
        }
    }
}
