//! Who writes where: one small file for each job that makes temporary files, locked while the job
//! lives. A file that can be locked belongs to a dead job, and `cleanup` knows where to look.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::journal::begun::{self, Notes};
use crate::journal::state::{lock, lock_own, unusable};
use crate::model::item::Timestamp;
use crate::model::leftover::{Over, Root};
use crate::model::location::Location;
use crate::model::secret::SecretSource;
use crate::model::store::StoreOptions;
use crate::platform::{clock, operator};

/// Longest record, bytes.
const RECORD_BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Record {
    job: String,
    pid: u32,
    /// When it began, milliseconds since 1970.
    #[serde(default)]
    began_ms: i64,
    roots: Vec<RootRecord>,
}

#[derive(Serialize, Deserialize)]
struct RootRecord {
    scheme: String,
    /// Base64 of the path's bytes.
    path: String,
    tree: bool,
    /// References to secrets; never a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    auth: Vec<(String, SecretSource)>,
    #[serde(default)]
    store: Arc<StoreOptions>,
}

/// A job's own record. Without [`Attempt::end`] it stays, and tells of leftovers.
#[derive(Debug)]
pub struct Attempt {
    path: PathBuf,
    file: File,
}

/// A dead job's record, held so that nobody else cleans the same.
#[derive(Debug)]
pub struct Dead {
    /// The job.
    pub job: String,
    /// When it began; 0 where that is not recorded.
    pub began: Timestamp,
    /// When it last recorded anything.
    pub wrote: Timestamp,
    /// Where it wrote.
    pub roots: Vec<Root>,
    /// Names of what it began that bears no temporary name.
    pub begun: Vec<Vec<u8>>,
    attempt: Attempt,
}

impl Attempt {
    pub(super) fn begin(folder: &Path, job: &str, roots: &[Root]) -> Result<Self> {
        let path = folder.join(format!("{job}.json"));
        let failed = |call| {
            let path = path.clone();
            move |error| unusable(&path, call, &error)
        };
        let mut file = operator::create_private(&path).map_err(failed("open"))?;
        lock_own(&file).map_err(failed("flock"))?;
        let record = Record {
            job: job.to_owned(),
            pid: std::process::id(),
            began_ms: (clock::now().0 / 1_000_000) as i64,
            roots: roots
                .iter()
                .map(|root| RootRecord {
                    scheme: root.location.scheme.clone(),
                    path: BASE64.encode(&root.location.path),
                    tree: root.tree,
                    auth: root.location.auth.clone(),
                    store: Arc::clone(&root.location.store),
                })
                .collect(),
        };
        let text = serde_json::to_vec(&record).unwrap_or_default();
        file.write_all(&text).map_err(failed("write"))?;
        Ok(Self { path, file })
    }

    /// What adds to the names that go with this record; `over` is told of those that are over.
    #[must_use]
    pub fn notes(&self, over: Arc<Over>) -> Notes {
        Notes::of(&self.path, over)
    }

    /// Forgets the job: nothing of it is left behind.
    pub fn end(self) {
        begun::remove(&self.path);
        drop(operator::remove_file(&self.path));
        drop(self.file);
    }
}

impl Dead {
    /// Forgets the job once its leftovers are gone.
    pub fn forget(self) {
        self.attempt.end();
    }
}

/// Takes hold of the records of dead jobs.
///
/// # Errors
/// `StateDir` when the folder cannot be read.
pub fn attempts(folder: &Path) -> Result<Vec<Dead>> {
    let mut all = Vec::new();
    let names = operator::names(folder).map_err(|error| unusable(folder, "readdir", &error))?;
    for name in names {
        let Some(job) = name.to_str().and_then(|name| name.strip_suffix(".json")) else {
            continue;
        };
        let path = folder.join(&name);
        match hold(&path) {
            Ok(Some((file, record, begun))) => {
                let wrote = wrote(&file, &path);
                let began = Timestamp(i128::from(record.began_ms) * 1_000_000);
                let roots = record.roots.into_iter().filter_map(|root| {
                    let RootRecord { scheme, path, tree, auth, store } = root;
                    let path = BASE64.decode(&path).ok()?;
                    Some(Root { location: Location { scheme, path, auth, store }, tree })
                });
                let attempt = Attempt { path, file };
                let roots = roots.collect();
                all.push(Dead { job: job.to_owned(), began, wrote, roots, begun, attempt });
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, "open", &error)),
        }
    }
    all.sort_by(|a, b| a.job.cmp(&b.job));
    Ok(all)
}

/// When a record, or the names beside it, were written last.
fn wrote(record: &File, path: &Path) -> Timestamp {
    let own = record.metadata().and_then(|facts| facts.modified()).ok();
    let last = own.into_iter().chain(begun::written(path)).max();
    let since = last.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Timestamp(since.as_nanos() as i128)
}

/// Whether a job with this tag is at work.
#[must_use]
pub fn is_live(folder: &Path, tag: &str) -> bool {
    let names = operator::names(folder).unwrap_or_default();
    let own = names.iter().filter(|name| name.as_encoded_bytes().starts_with(tag.as_bytes()));
    own.into_iter().any(|name| matches!(hold(&folder.join(name)), Ok(None)))
}

/// Tags of sessions of the Python server that run on the same state: it holds a lock file named
/// by its tag for as long as it lives.
#[must_use]
pub fn live_sessions(folder: &Path) -> Vec<String> {
    let names = operator::names(folder).unwrap_or_default();
    let tags = names.iter().filter_map(|name| name.to_str()?.strip_suffix(".lock"));
    let live = tags.filter(|tag| {
        let path = folder.join(format!("{tag}.lock"));
        let file = operator::open_file(path.as_os_str().as_encoded_bytes());
        file.and_then(|file| lock(&file)).is_ok_and(|free| !free)
    });
    live.map(str::to_owned).collect()
}

/// A record that is held, and the names of what was begun.
type Held = (File, Record, Vec<Vec<u8>>);

/// Locks a record; `None` when its job lives. A record torn by a crash names no roots, a torn line
/// nothing that was begun.
fn hold(path: &Path) -> std::io::Result<Option<Held>> {
    let file = operator::open_file(path.as_os_str().as_encoded_bytes())?;
    if !lock(&file)? {
        return Ok(None);
    }
    let mut text = Vec::new();
    (&file).take(RECORD_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > RECORD_BYTES_MAX {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "the record is too long"));
    }
    let empty = Record { job: String::new(), pid: 0, began_ms: 0, roots: Vec::new() };
    let mut lines = text.split(|byte| *byte == b'\n');
    let record = serde_json::from_slice(lines.next().unwrap_or_default()).unwrap_or(empty);
    // Earlier versions added the names to the record itself.
    let mut names = begun::names(&lines.collect::<Vec<_>>().join(&b'\n'));
    names.extend(begun::read(path)?);
    Ok(Some((file, record, names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_told_from_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        let location = Location::parse(b"/y\xff", Vec::new()).unwrap();
        let root = Root { location, tree: true };
        let living = Attempt::begin(dir.path(), "aaaaaaaa00000001", &[]).unwrap();
        let roots = std::slice::from_ref(&root);
        let dead = Attempt::begin(dir.path(), "bbbbbbbb00000001", roots).unwrap();
        drop(dead);
        let dead = attempts(dir.path()).unwrap().pop().unwrap();
        assert!(is_live(dir.path(), "aaaaaaaa") && !is_live(dir.path(), "cccccccc"));
        assert_eq!((dead.job.as_str(), dead.roots.as_slice()), ("bbbbbbbb00000001", roots));
        dead.forget();
        living.end();
        assert!(operator::names(dir.path()).unwrap().is_empty());
    }
}
