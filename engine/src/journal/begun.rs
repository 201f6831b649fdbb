//! Names of what a job began and that bears no temporary name, for `cleanup` after a kill: a file
//! beside the job's own record, whose lock says who lives.
//!
//! A line is added, durably, before anything is sent under its name. A name that is over is not
//! struck out but left out when the file is written anew: a stale one costs a clean-up one request.

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::{EngineError, Kind, Result};
use crate::journal::state::unusable;
use crate::journal::together::Together;
use crate::model::leftover::Over;
use crate::platform::operator;

/// Longest record of names that are not over, bytes: a clean-up holds them all.
const LIVE_BYTES_MAX: u64 = 64 << 20;
/// A file below this is not written anew; a longer one once most of it is over.
const ANEW_BYTES_MIN: u64 = 1 << 20;
/// How much longer than what is not over a file becomes.
const ANEW_TIMES: u64 = 4;

/// Adds to a job's names, as long as the job does. Clones add to the same.
#[derive(Clone, Debug)]
pub struct Notes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    over: Arc<Over>,
    together: Together<Vec<u8>>,
    book: Mutex<Book>,
    live_bytes_max: u64,
}

#[derive(Debug, Default)]
struct Book {
    /// Made with the first name.
    file: Option<File>,
    /// Its length.
    bytes: u64,
    /// Names that are not over.
    live: HashSet<Vec<u8>>,
    /// The length of their lines.
    live_bytes: u64,
}

/// A name as a line. What a torn one before it left is ended first.
fn line(name: &[u8]) -> String {
    format!("\n{}", BASE64.encode(name))
}

/// Where the names of the job with this record are, and where they are written anew.
fn beside(record: &Path) -> [PathBuf; 2] {
    [record.with_extension("begun"), record.with_extension("begun-new")]
}

impl Notes {
    /// Names of the job with this record; what is told to `over` is not one of them any more.
    #[must_use]
    pub fn of(record: &Path, over: Arc<Over>) -> Self {
        Self::within(record, over, LIVE_BYTES_MAX)
    }

    fn within(record: &Path, over: Arc<Over>, live_bytes_max: u64) -> Self {
        over.listen();
        let [path, _] = beside(record);
        let (together, book) = (Together::default(), Mutex::default());
        Self(Arc::new(Shared { path, over, together, book, live_bytes_max }))
    }

    /// Records the name of something begun, durably.
    ///
    /// # Errors
    /// `StateDir` when it cannot be written, or when there are too many that are not over.
    pub fn add(&self, begun: &[u8]) -> Result<()> {
        self.0.together.run(begun.to_vec(), |names| {
            let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.over.take().iter().for_each(|name| book.forget(name));
            book.add(&self.0, names)
        })
    }

    /// A name that another one takes the place of.
    pub fn over(&self, name: &[u8]) {
        self.0.over.add(name.to_vec());
    }
}

impl Book {
    fn forget(&mut self, name: &[u8]) {
        if self.live.remove(name) {
            self.live_bytes -= line(name).len() as u64;
        }
    }

    fn add(&mut self, shared: &Shared, names: Vec<Vec<u8>>) -> Result<()> {
        let mut lines = String::new();
        for name in names {
            let line = line(&name);
            if self.live_bytes + line.len() as u64 > shared.live_bytes_max {
                return Err(self.full(shared));
            }
            if self.live.insert(name) {
                self.live_bytes += line.len() as u64;
                lines.push_str(&line);
            }
        }
        let most = ANEW_BYTES_MIN.max(self.live_bytes * ANEW_TIMES);
        let written = match &self.file {
            Some(file) if self.bytes + lines.len() as u64 <= most => append(file, &lines),
            _ => self.anew(&shared.path),
        };
        written.map_err(|error| unusable(&shared.path, "write", &error))?;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Writes the names that are not over, in place of the file, which is whole at any instant.
    fn anew(&mut self, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("begun-new");
        operator::remove_file(&new)?;
        let file = operator::create_private(&new)?;
        let lines: String = self.live.iter().map(|name| line(name)).collect();
        append(&file, &lines)?;
        operator::rename(&new, path)?;
        operator::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        (self.file, self.bytes) = (Some(file), lines.len() as u64);
        Ok(())
    }

    fn full(&self, shared: &Shared) -> EngineError {
        let message = format!(
            "{} uploads were begun and are not over: no more can be recorded in {}",
            self.live.len(),
            shared.path.display()
        );
        EngineError::new(Kind::StateDir, message)
            .hint("mend what keeps uploads from their end, or copy in several commands")
    }
}

fn append(mut file: &File, lines: &str) -> std::io::Result<()> {
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

/// The names of a dead job with this record. A torn line names nothing.
///
/// # Errors
/// Whatever the system says; `InvalidData` for a file that no job writes.
pub(super) fn read(record: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let [path, _] = beside(record);
    let file = match operator::open_file(path.as_os_str().as_encoded_bytes()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let most = ANEW_TIMES * LIVE_BYTES_MAX;
    let mut text = Vec::new();
    file.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "the record is too long"));
    }
    Ok(names(&text))
}

/// When the names of the job with this record were written last.
pub(super) fn written(record: &Path) -> Option<SystemTime> {
    let [path, _] = beside(record);
    let file = operator::open_file(path.as_os_str().as_encoded_bytes()).ok()?;
    file.metadata().and_then(|facts| facts.modified()).ok()
}

/// The names in lines.
pub(super) fn names(text: &[u8]) -> Vec<Vec<u8>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| BASE64.decode(line).ok()).collect()
}

/// Removes the names of a job, before its record goes.
pub(super) fn remove(record: &Path) {
    for path in beside(record) {
        drop(operator::remove_file(&path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Vec<u8> {
        format!("s3 http://host/bucket\0{number:016x}\0a/key/of/it/{number}\0{number:0128}").into()
    }

    fn all(record: &Path) -> HashSet<Vec<u8>> {
        read(record).unwrap().into_iter().collect()
    }

    #[test]
    fn the_record_of_a_job_of_very_many_uploads_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("aaaaaaaa00000001.json");
        let notes = Notes::of(&record, Arc::default());
        let [path, _] = beside(&record);
        let mut longest = 0;
        for number in 0..6_000 {
            notes.add(&name(number)).unwrap();
            // Ten are on their way at any time, and the first one does not end.
            if number > 10 {
                notes.over(&name(number - 10));
            }
            let file = operator::open_file(path.as_os_str().as_encoded_bytes()).unwrap();
            longest = longest.max(file.metadata().unwrap().len());
        }
        assert!(longest <= ANEW_BYTES_MIN, "{longest}");
        let left = all(&record);
        assert!(left.contains(&name(0)));
        assert!((5_990..6_000).all(|number| left.contains(&name(number))));
        remove(&record);
        assert!(operator::names(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn a_kill_while_it_is_written_anew_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("aaaaaaaa00000001.json");
        let notes = Notes::of(&record, Arc::default());
        notes.add(&name(1)).unwrap();
        let [path, new] = beside(&record);
        operator::write_file(&new, b"\ntorn").unwrap();
        // A line that a crash tore.
        operator::append_private(&path).unwrap().write_all(b"\n####").unwrap();
        notes.add(&name(2)).unwrap();
        assert_eq!(all(&record), HashSet::from([name(1), name(2)]));
        // What is in the way is no hindrance.
        notes.0.book.lock().unwrap().file = None;
        notes.add(&name(3)).unwrap();
        assert_eq!(all(&record), HashSet::from([name(1), name(2), name(3)]));
        assert!(
            operator::names(dir.path())
                .unwrap()
                .iter()
                .all(|name| !name.eq("aaaaaaaa00000001.begun-new"))
        );
    }

    #[test]
    fn more_than_a_record_holds_is_an_error_and_nothing_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("aaaaaaaa00000001.json");
        let notes = Notes::within(&record, Arc::default(), 1000);
        let taken = (0..20).take_while(|number| notes.add(&name(*number)).is_ok()).count() as u32;
        assert!((1..20).contains(&taken));
        let error = notes.add(&name(99)).unwrap_err();
        assert_eq!(error.kind(), Kind::StateDir);
        assert!(error.parts().hint.is_some(), "{error}");
        assert_eq!(all(&record), (0..taken).map(name).collect());
        // With one that is over there is room again.
        notes.over(&name(0));
        notes.add(&name(99)).unwrap();
        assert!(all(&record).contains(&name(99)));
    }
}
