//! What the filesystem of a directory can do, tried on scratch files that are removed at once.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, SeekFrom};
use rustix::io::Errno;

use crate::cli::doctor::check::Check;
use crate::model::path::temp_name;
use crate::platform::dir::Dir;
use crate::platform::operator;

/// Bytes of a scratch file's content, after a hole of the same size.
const CONTENT_BYTES: usize = 64 << 10;

/// One check for each feature, or one that says why none could be tried.
#[must_use]
pub fn features(place: &str, path: &[u8]) -> Vec<Check> {
    match Scratch::new(path) {
        Ok(scratch) => scratch.try_all(place),
        Err(errno) => {
            let fix = "grant write access, or run it elsewhere";
            vec![Check::warn(format!("{place}.filesystem"), format!("not tried: {errno}"), fix)]
        }
    }
}

/// Two named files in a directory, removed on drop.
struct Scratch {
    dir: Dir,
    names: [Vec<u8>; 2],
    files: [OwnedFd; 2],
}

impl Scratch {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let dir = operator::open_dir(path)?;
        let names = names();
        let [first, second] = &names;
        let one = dir.create_file(first)?;
        let two = dir.create_file(second).inspect_err(|_| {
            let _ = dir.remove(first);
        })?;
        let scratch = Self { dir, names, files: [one, two] };
        scratch.fill()?;
        Ok(scratch)
    }

    /// A hole, then bytes.
    fn fill(&self) -> Result<(), Errno> {
        let [one, _] = &self.files;
        let content = [7; CONTENT_BYTES];
        rustix::io::pwrite(one, &content, CONTENT_BYTES as u64).map(drop)
    }

    fn try_all(&self, place: &str) -> Vec<Check> {
        let tries = [
            ("o_tmpfile", self.tmpfile()),
            ("copy_file_range", self.copy_range()),
            ("seek_hole", self.seek_hole()),
            ("reflink", self.reflink()),
        ];
        let faster = tries.into_iter().map(|(feature, tried)| {
            let found = tried.map_or_else(|errno| format!("no ({errno})"), |()| "yes".to_owned());
            Check::ok(format!("{place}.{feature}"), found)
        });
        std::iter::once(self.needed(place)).chain(faster).collect()
    }

    /// The one feature that a copy cannot do without; the others only make it faster.
    fn needed(&self, place: &str) -> Check {
        let id = format!("{place}.rename_noreplace");
        let fix = "use on_exists replace, or another filesystem";
        match self.noreplace() {
            Ok(()) => Check::ok(id, "yes"),
            Err(errno) => Check::warn(id, format!("no ({errno})"), fix),
        }
    }

    /// Publishing over another file must be refused, and a free name must be taken.
    fn noreplace(&self) -> Result<(), Errno> {
        let [first, second] = &self.names;
        let rename = |from: &[u8], to: &[u8]| {
            rustix::fs::renameat_with(&self.dir, from, &self.dir, to, RenameFlags::NOREPLACE)
        };
        match rename(first, second) {
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
            Ok(()) => Err(Errno::OPNOTSUPP),
        }
    }

    fn tmpfile(&self) -> Result<(), Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, ".", flags, Mode::RUSR | Mode::WUSR).map(drop)
    }

    fn copy_range(&self) -> Result<(), Errno> {
        let [one, two] = &self.files;
        let (mut from, mut to) = (CONTENT_BYTES as u64, 0);
        rustix::fs::copy_file_range(one, Some(&mut from), two, Some(&mut to), 4096).map(drop)
    }

    fn seek_hole(&self) -> Result<(), Errno> {
        let [one, _] = &self.files;
        match rustix::fs::seek(one, SeekFrom::Data(0))? {
            0 => Err(Errno::OPNOTSUPP),
            _ => Ok(()),
        }
    }

    fn reflink(&self) -> Result<(), Errno> {
        let [one, two] = &self.files;
        rustix::fs::ioctl_ficlone(two, one)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = rustix::fs::unlinkat(&self.dir, name, AtFlags::empty());
        }
    }
}

/// Names of the form of temporary files, so that `cleanup` knows them after a kill.
fn names() -> [Vec<u8>; 2] {
    let job = crate::serve::names::Names::new().make();
    [temp_name(&job, 0), temp_name(&job, 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let checks = features("x", dir.path().as_os_str().as_encoded_bytes());
        assert_eq!(checks.len(), 5);
        assert!(operator::names(dir.path()).unwrap().is_empty());
        let absent = features("x", b"/no/such/place");
        assert_eq!(absent.len(), 1);
    }
}
