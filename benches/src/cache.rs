//! The state of the page cache before a run.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use rustix::fs::Advice;

/// Memory warmed beyond what is asked for: the contenders themselves need some.
const MEMORY_MARGIN_BYTES: u64 = 1 << 30;

/// What the page cache holds of the source when a run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// All of it: the source was just read.
    Warm,
    /// Nothing: the page cache was dropped.
    Cold,
}

impl Cache {
    /// Brings the cache of `source`, a file or a tree, into this state.
    ///
    /// # Errors
    /// What the system answers: `Cold` needs root.
    pub fn prepare(self, source: &Path) -> io::Result<()> {
        match self {
            Self::Warm => read_all(source, &mut vec![0; 256 << 10]),
            Self::Cold => std::fs::write("/proc/sys/vm/drop_caches", "3"),
        }
    }
}

/// Takes `bytes` of memory and gives them back, in a child so that this program stays small.
///
/// On a virtual machine a page that the guest has not used for a while is given back to the host,
/// and its next use costs ten times more: without this, a run's time would tell what ran before it.
///
/// # Errors
/// What the system answers.
pub fn warm_memory(bytes: u64) -> io::Result<()> {
    let size = format!("bs={}", bytes + MEMORY_MARGIN_BYTES);
    let arguments = ["if=/dev/zero", "of=/dev/null", "count=1", "status=none", &size];
    let status = Command::new("dd").args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("dd: {status}"))) }
}

/// Drops what the page cache holds of `path`, a file or a tree that is synced.
///
/// # Errors
/// What the system answers.
pub fn forget(path: &Path) -> io::Result<()> {
    each_file(path, &mut |file| Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?))
}

fn read_all(path: &Path, block: &mut [u8]) -> io::Result<()> {
    each_file(path, &mut |mut file| {
        while file.read(block)? > 0 {}
        Ok(())
    })
}

fn each_file(path: &Path, act: &mut impl FnMut(&File) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        return std::fs::read_dir(path)?.try_for_each(|entry| each_file(&entry?.path(), act));
    }
    act(&File::open(path)?)
}

/// Waits until nothing of the file system of `path` is waiting to be written.
///
/// # Errors
/// What the system answers.
pub fn sync(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}
