//! What a keyed command did: one `redb` file for each key, opened by one process at a time.
//!
//! Before a batch is published, its receipts are committed: item, source state, and the mark that
//! the finished file has both under its temporary and its final name. After a kill, an item counts
//! as done if its receipt fits the source as it is now and the mark fits what stands under the
//! final name. So a crash between the two steps needs no guess: either the mark is there or not.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{EngineError, Kind, Result};
use crate::journal::partial;
use crate::journal::signed;
use crate::journal::state::{lock, unusable};
use crate::journal::together::Together;
use crate::limits::CLOCK_TICK_NS;
use crate::model::digest::{Algorithm, Digest};
use crate::model::found::{Mark, lasting_device};
use crate::model::item::{Item, Timestamp};
use crate::platform::{clock, operator};

const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const RECEIPTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("receipts");
/// Version of the records below; another one is refused.
const VERSION: u32 = 2;
/// Longest key, bytes.
const KEY_BYTES_MAX: u64 = 1 << 10;
/// Length of the mark that a finished store begins with (redb's file format), bytes.
const MARK_BYTES: usize = 9;
/// What a store begins with (redb's page), bytes.
const PAGE_BYTES: usize = 4096;
/// Marks of earlier attempts that a receipt holds: as many may be killed one after the other before
/// they give a name.
const EARLIER_MARKS_MAX: usize = 8;
/// Memory of a key's store, bytes.
const CACHE_BYTES: usize = 1 << 20;

/// The state of a source item that a record speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    dev: u64,
    ino: u64,
    born_ns: i128,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    version: String,
}

impl Source {
    /// The state it was found in.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        Self {
            size: item.size,
            mtime_ns: item.attributes.mtime.0,
            ctime_ns: item.identity.ctime.0,
            dev: lasting_device(item.identity.dev, item.identity.born),
            ino: item.identity.ino,
            born_ns: item.identity.born.0,
            version: item.identity.version.as_str().to_owned(),
        }
    }

    /// Whether it holds anything beside the size that another state would not have.
    pub(super) fn tells_states(&self) -> bool {
        let times = [self.mtime_ns, self.ctime_ns, self.born_ns];
        times.iter().any(|time| *time != 0) || self.ino != 0 || !self.version.is_empty()
    }
}

/// Proof that an item was written, and of which state of its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    source: Source,
    mark: FlatMark,
    /// Marks of what earlier attempts wrote there and this one was about to replace, latest last: a
    /// kill before the name was given leaves one of them standing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<FlatMark>,
    digest: Option<(String, String)>,
    /// Whether something of the source is missing in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

/// Receipts by the names of their items.
type Receipts = Vec<(Vec<u8>, Receipt)>;

type FlatMark = (u64, u64, i128, u64, i128);

impl Receipt {
    /// The receipt of a written item.
    #[must_use]
    pub fn new(item: &Item, mark: Mark, digests: &[Digest]) -> Self {
        Self {
            source: Source::of(item),
            mark: flat(mark),
            earlier: Vec::new(),
            digest: digests.first().map(|d| (d.algorithm.name().to_owned(), d.hex.clone())),
            incomplete: false,
        }
    }

    /// The receipt of an item that lacks something of its source: it is ours, and not done.
    #[must_use]
    pub fn incomplete(self) -> Self {
        Self { incomplete: true, ..self }
    }

    /// Whether it is done, for the source item as it is now.
    #[must_use]
    pub fn fits(&self, item: &Item) -> bool {
        !self.incomplete && self.source == Source::of(item)
    }

    /// Whether this is what it wrote.
    #[must_use]
    pub fn wrote(&self, mark: Mark) -> bool {
        self.mark == flat(mark)
    }

    /// Whether this is what an earlier attempt wrote, of some state of the source.
    #[must_use]
    pub fn wrote_earlier(&self, mark: Mark) -> bool {
        self.earlier.contains(&flat(mark))
    }

    /// The same, knowing what it takes the place of.
    fn after(&self, old: Self) -> Self {
        let mut earlier = old.earlier;
        earlier.extend((old.mark != self.mark).then_some(old.mark));
        let cut = earlier.len().saturating_sub(EARLIER_MARKS_MAX);
        Self { earlier: earlier.split_off(cut), ..self.clone() }
    }

    /// The digest taken then.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let (algorithm, hex) = self.digest.as_ref()?;
        Some(Digest { algorithm: Algorithm::from_name(algorithm)?, hex: hex.clone() })
    }
}

fn flat(mark: Mark) -> FlatMark {
    let mark = mark.lasting();
    (mark.dev, mark.ino, mark.born.0, mark.size, mark.mtime.0)
}

#[derive(Serialize, Deserialize)]
struct Facts {
    version: u32,
    key: String,
    /// The command's op and fields.
    command: serde_json::Value,
    /// The job that runs it, and those of dead attempts.
    jobs: Vec<String>,
    /// When the first of them began, nanoseconds since 1970.
    begun_ns: i128,
    /// Inode and time of birth of the directories it goes between, by side. The device's number
    /// is none of it: it may be another one after the next start of the machine.
    #[serde(default)]
    roots: BTreeMap<String, (u64, i128)>,
    /// What will be the result's own part, once everything is done but for what is removed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<serde_json::Value>,
    /// The result, once it is `ok`.
    result: Option<serde_json::Value>,
}

/// An open record of a keyed command. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    database: Arc<Database>,
    path: PathBuf,
    resumed: bool,
    begun: Timestamp,
    /// The facts are small and rewritten whole.
    writing: Arc<Mutex<()>>,
    together: Arc<Together<Receipts>>,
    /// Items whose names were given since, so that nobody goes on with what was begun of them.
    pub(super) named: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What opening a key gives.
#[derive(Debug)]
pub enum Opened {
    /// Finished before: its result.
    Done(serde_json::Value),
    /// To be run, from the start or from where it stopped.
    Run(Ledger),
}

fn broken(path: &Path, what: impl std::fmt::Display) -> EngineError {
    let message = format!("the record {} is damaged: {what}", path.display());
    EngineError::new(Kind::JournalCorrupt, message)
}

/// What a store answers that cannot be read: a device that fails is no damage.
fn unread(path: &Path, error: &redb::Error) -> EngineError {
    match error {
        redb::Error::Io(error)
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            unusable(path, "read", error)
        }
        redb::Error::PreviousIo => unusable(path, "read", &ErrorKind::Other.into()),
        _ => broken(path, error),
    }
}

fn file_of(folder: &Path, key: &str) -> PathBuf {
    let name = crate::model::digest::hex(&sha2::Sha256::digest(key.as_bytes()));
    folder.join(format!("{name}.redb"))
}

fn open_database(path: &Path) -> Result<Database> {
    let file = operator::open_private(path).map_err(|error| unusable(path, "open", &error))?;
    let in_use = || EngineError::new(Kind::Locked, "the key is in use by another command");
    if !lock(&file).map_err(|error| unusable(path, "flock", &error))? {
        return Err(in_use());
    }
    begin_anew_if_unfinished(&file).map_err(|error| unusable(path, "ftruncate", &error))?;
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    match builder.create_file(file) {
        Ok(database) => Ok(database),
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => Err(in_use()),
        Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            Err(unusable(path, "read", &error))
        }
        Err(error) => Err(broken(path, error)),
    }
}

/// Empties a store that was never finished: its first bytes are its mark, which redb writes last
/// when it makes one, and behind the page that it begins with there is nothing yet. So a kill
/// while a key is new does not take the key for ever, and a finished store that lost its mark is
/// told as damaged.
fn begin_anew_if_unfinished(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut mark = [0; MARK_BYTES];
    match file.read_exact_at(&mut mark, 0) {
        Ok(()) if mark != [0; MARK_BYTES] => return Ok(()),
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return file.set_len(0),
        Err(error) => return Err(error),
    }
    let (mut at, mut page) = (PAGE_BYTES as u64, vec![0; PAGE_BYTES]);
    loop {
        match file.read_at(&mut page, at)? {
            0 => return file.set_len(0),
            count if page.iter().take(count).any(|byte| *byte != 0) => return Ok(()),
            count => at += count as u64,
        }
    }
}

/// Opens the record of a key for a command, and enters this job in it.
///
/// # Errors
/// `Locked` when another command holds the key, `KeyConflict` when the key belongs to another
/// command, `JournalCorrupt`, `StateDir`.
pub fn open(folder: &Path, key: &str, command: &serde_json::Value, job: &str) -> Result<Opened> {
    let path = file_of(folder, key);
    let database = Arc::new(open_database(&path)?);
    let mut ledger = Ledger::of(database, path, false);
    let command = signed::written(command, key);
    let facts = match ledger.facts()? {
        Some(facts) if signed::written(&facts.command, key) != command || facts.key != key => {
            let message = "the key belongs to another command";
            return Err(EngineError::new(Kind::KeyConflict, message));
        }
        Some(Facts { result: Some(result), .. }) => return Ok(Opened::Done(result)),
        Some(mut facts) => {
            ledger.resumed = true;
            ledger.begun = Timestamp(facts.begun_ns);
            facts.jobs.push(job.to_owned());
            Facts { command, ..facts }
        }
        None => Facts {
            version: VERSION,
            key: key.to_owned(),
            command,
            jobs: vec![job.to_owned()],
            begun_ns: ledger.begun.0,
            roots: BTreeMap::new(),
            settled: None,
            result: None,
        },
    };
    note_job(folder, job, key)?;
    ledger.write_facts(&facts)?;
    Ok(Opened::Run(ledger))
}

/// The command stored under a key.
///
/// # Errors
/// `StateDir`, `JournalCorrupt`; `Locked` when another command holds it; `ResumeRefused` when a part
/// of it is not stored, since it proved who asks.
pub fn stored(folder: &Path, key: &str) -> Result<Option<serde_json::Value>> {
    let path = file_of(folder, key);
    if !path.exists() {
        return Ok(None);
    }
    let database = Arc::new(open_database(&path)?);
    let ledger = Ledger::of(database, path, true);
    let command = ledger.facts()?.map(|facts| facts.command);
    if command.as_ref().is_some_and(signed::lacks) {
        let message = "a URL of the command was signed, and signatures are not stored";
        return Err(EngineError::new(Kind::ResumeRefused, message)
            .hint("send the command again with its key and a URL that is signed now"));
    }
    Ok(command)
}

/// The key that the job of this name ran under.
///
/// # Errors
/// `StateDir`.
pub fn key_of_job(folder: &Path, job: &str) -> Result<Option<String>> {
    let is_name = job.len() == 16 && job.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_name {
        return Ok(None);
    }
    let path = job_file(folder, job);
    match operator::read_small(&path, KEY_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(&path, "read", &error)),
    }
}

/// A small file that names a job's key, so that its token is found without opening every record.
fn job_file(folder: &Path, job: &str) -> PathBuf {
    folder.join(format!("{job}.job"))
}

fn note_job(folder: &Path, job: &str, key: &str) -> Result<()> {
    use std::io::Write as _;
    let path = job_file(folder, job);
    let written =
        operator::create_private(&path).and_then(|mut file| file.write_all(key.as_bytes()));
    written.map_err(|error| unusable(&path, "write", &error))
}

/// Names of the jobs that ran the command of a key; none for a key that is not there.
///
/// # Errors
/// `Locked` when another command holds it, `JournalCorrupt`, `StateDir`.
pub fn jobs(folder: &Path, key: &str) -> Result<Vec<String>> {
    let path = file_of(folder, key);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let database = Arc::new(open_database(&path)?);
    let ledger = Ledger::of(database, path, true);
    Ok(ledger.facts()?.map(|facts| facts.jobs).unwrap_or_default())
}

/// Forgets a key. One that is not there is no error.
///
/// # Errors
/// `Locked` when another command holds it, `StateDir`.
pub fn forget(folder: &Path, key: &str) -> Result<bool> {
    let path = file_of(folder, key);
    if !path.exists() {
        return Ok(false);
    }
    let held = match open_database(&path) {
        Ok(database) => Some(Arc::new(database)),
        Err(error) if error.kind() == Kind::JournalCorrupt => None,
        Err(error) => return Err(error),
    };
    let jobs = held.clone().and_then(|database| {
        let path = path.clone();
        let ledger = Ledger::of(database, path, true);
        ledger.facts().ok().flatten().map(|facts| facts.jobs)
    });
    for job in jobs.unwrap_or_default() {
        let note = job_file(folder, &job);
        operator::remove_file(&note).map_err(|error| unusable(&note, "unlink", &error))?;
    }
    operator::remove_file(&path).map_err(|error| unusable(&path, "unlink", &error))?;
    drop(held);
    Ok(true)
}

impl Ledger {
    fn of(database: Arc<Database>, path: PathBuf, resumed: bool) -> Self {
        Self {
            database,
            path,
            resumed,
            begun: clock::now(),
            writing: Arc::default(),
            together: Arc::default(),
            named: Arc::default(),
        }
    }

    /// Whether earlier attempts may have done part of it.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Whether an earlier attempt may have made a directory that was born then. Clocks of
    /// filesystems tick coarsely, so a little before the beginning counts.
    #[must_use]
    pub fn may_have_made(&self, born: Timestamp) -> bool {
        self.resumed && born.0 >= self.begun.0 - CLOCK_TICK_NS
    }

    /// Names of the jobs of earlier attempts.
    ///
    /// # Errors
    /// `JournalCorrupt`.
    pub fn earlier_jobs(&self) -> Result<Vec<String>> {
        let mut jobs = self.facts()?.map(|facts| facts.jobs).unwrap_or_default();
        jobs.pop();
        Ok(jobs)
    }

    /// Holds the command to the directory that its first attempt met on this side: receipts mean
    /// nothing for another one that took its name, such as the mount point of a volume that is not
    /// mounted now.
    ///
    /// # Errors
    /// `ResumeRefused`; `StateDir` when it cannot be written.
    pub fn hold_to(&self, side: &str, ino: u64, born: Timestamp) -> Result<()> {
        let Some(mut facts) = self.facts()? else {
            return Ok(());
        };
        match facts.roots.get(side) {
            Some(known) if *known == (ino, born.0) => Ok(()),
            Some(_) => {
                let message = format!("the {side} is not the directory that this key began with");
                Err(EngineError::new(Kind::ResumeRefused, message))
            }
            None => {
                facts.roots.insert(side.to_owned(), (ino, born.0));
                self.write_facts(&facts)
            }
        }
    }

    /// The receipt of an item, from this attempt or an earlier one.
    ///
    /// # Errors
    /// `JournalCorrupt`.
    pub fn receipt(&self, path: &[u8]) -> Result<Option<Receipt>> {
        let broken = |error: redb::Error| unread(&self.path, &error);
        let read = self.database.begin_read().map_err(|error| broken(error.into()))?;
        let table = match read.open_table(RECEIPTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(broken(error.into())),
        };
        let found = table.get(path).map_err(|error| broken(error.into()))?;
        found.map(|bytes| self.decode(bytes.value())).transpose()
    }

    /// Commits receipts, with those of other threads in one step, and forgets what was begun of
    /// items that have their names.
    ///
    /// # Errors
    /// `StateDir` when they cannot be written.
    pub fn commit_together(&self, receipts: Vec<(Vec<u8>, Receipt)>) -> Result<()> {
        self.together.run(receipts, |all| {
            let all: Vec<_> = all.into_iter().flatten().collect();
            let named = self.take_named();
            self.write(|transaction| {
                self.put(transaction, &all)?;
                partial::forget(transaction, named.iter().map(Vec::as_slice))
            })
        })
    }

    /// Commits receipts, and forgets what was begun of their items.
    ///
    /// # Errors
    /// `StateDir` when they cannot be written.
    pub fn commit(&self, receipts: &[(Vec<u8>, Receipt)]) -> Result<()> {
        self.write(|transaction| {
            self.put(transaction, receipts)?;
            partial::forget(transaction, receipts.iter().map(|(path, _)| path.as_slice()))
        })
    }

    fn put(
        &self,
        transaction: &redb::WriteTransaction,
        receipts: &[(Vec<u8>, Receipt)],
    ) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(RECEIPTS)?;
        for (path, receipt) in receipts {
            let old = match self.resumed {
                true => table.get(path.as_slice())?,
                false => None,
            };
            let old = old.and_then(|bytes| serde_json::from_slice(bytes.value()).ok());
            let receipt = old.map_or_else(|| receipt.clone(), |old| receipt.after(old));
            let bytes = serde_json::to_vec(&receipt).unwrap_or_default();
            table.insert(path.as_slice(), bytes.as_slice())?;
        }
        Ok(())
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn broken(&self, error: &redb::Error) -> EngineError {
        unread(&self.path, error)
    }

    /// Notes that everything is done but for what is removed last, which a resume that finds this
    /// does and nothing else: what it would tell by is about to go.
    ///
    /// # Errors
    /// `StateDir` when it cannot be written.
    pub fn settle(&self, answer: serde_json::Value) -> Result<()> {
        let facts = self.facts()?.map(|facts| Facts { settled: Some(answer), ..facts });
        facts.map_or(Ok(()), |facts| self.write_facts(&facts))
    }

    /// What [`Ledger::settle`] noted in an earlier attempt.
    ///
    /// # Errors
    /// `StateDir`, `JournalCorrupt`.
    pub fn settled(&self) -> Result<Option<serde_json::Value>> {
        Ok(self.facts()?.and_then(|facts| facts.settled))
    }

    /// Stores the result of a command that ended with `ok`.
    ///
    /// # Errors
    /// `StateDir` when it cannot be written.
    pub fn finish(&self, result: serde_json::Value) -> Result<()> {
        let facts = self.facts()?.map(|facts| Facts { result: Some(result), ..facts });
        facts.map_or(Ok(()), |facts| self.write_facts(&facts))
    }

    fn facts(&self) -> Result<Option<Facts>> {
        let failed = |error: redb::Error| unread(&self.path, &error);
        let read = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = match read.open_table(FACTS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let Some(bytes) = table.get("facts").map_err(|error| failed(error.into()))? else {
            return Ok(None);
        };
        let facts: Facts = self.decode(bytes.value())?;
        if facts.version != VERSION {
            return Err(broken(&self.path, format!("its version is {}", facts.version)));
        }
        Ok(Some(facts))
    }

    pub(super) fn decode<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T> {
        serde_json::from_slice(bytes).map_err(|error| broken(&self.path, error))
    }

    fn write_facts(&self, facts: &Facts) -> Result<()> {
        let bytes = serde_json::to_vec(facts).unwrap_or_default();
        self.write(|transaction| {
            transaction.open_table(FACTS)?.insert("facts", bytes.as_slice())?;
            Ok(())
        })
    }

    pub(super) fn write(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            work(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error| {
            EngineError::new(Kind::StateDir, format!("failed to write {}", self.path.display()))
                .because(error.to_string(), None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::item::{Attributes, Handle, Identity, ItemKind};
    use crate::model::path::ItemPath;
    use serde_json::json;

    #[test]
    fn a_key_is_run_once_resumed_and_replayed() {
        let dir = tempfile::tempdir().unwrap();
        let command = json!({"op": "copy", "src": "a"});
        let Opened::Run(ledger) = open(dir.path(), "k", &command, "j1").unwrap() else {
            panic!("new")
        };
        assert!(!ledger.is_resumed());
        let locked = open(dir.path(), "k", &command, "j2").unwrap_err();
        assert_eq!(locked.kind(), Kind::Locked);
        drop(ledger);
        let other = open(dir.path(), "k", &json!({"op": "copy"}), "j2").unwrap_err();
        assert_eq!(other.kind(), Kind::KeyConflict);
        let Opened::Run(ledger) = open(dir.path(), "k", &command, "j3").unwrap() else {
            panic!("resumed")
        };
        assert!(ledger.is_resumed());
        assert_eq!(ledger.earlier_jobs().unwrap(), ["j1"]);
        ledger.finish(json!({"status": "ok"})).unwrap();
        drop(ledger);
        assert!(matches!(open(dir.path(), "k", &command, "j4").unwrap(), Opened::Done(_)));
        assert!(forget(dir.path(), "k").unwrap());
        assert!(!forget(dir.path(), "k").unwrap());
    }

    /// As a kill between making the file and its mark leaves it.
    #[test]
    fn a_store_that_was_never_finished_is_begun_anew() {
        let command = json!({"op": "copy"});
        for bytes in [&[][..], &[0; 5], &[0; 4096], &[0; 1 << 16]] {
            let dir = tempfile::tempdir().unwrap();
            std::os::unix::fs::FileExt::write_all_at(
                &operator::open_private(&file_of(dir.path(), "k")).unwrap(),
                bytes,
                0,
            )
            .unwrap();
            let opened = open(dir.path(), "k", &command, "j1").unwrap();
            assert!(matches!(opened, Opened::Run(ledger) if !ledger.is_resumed()));
        }
    }

    /// A finished store whose first bytes were lost is no new one.
    #[test]
    fn a_store_that_lost_its_mark_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let command = json!({"op": "copy"});
        drop(open(dir.path(), "k", &command, "j1").unwrap());
        let file = operator::open_private(&file_of(dir.path(), "k")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; MARK_BYTES], 0).unwrap();
        drop(file);
        let damaged = open(dir.path(), "k", &command, "j2").unwrap_err();
        assert_eq!(damaged.kind(), Kind::JournalCorrupt);
    }

    #[test]
    fn damage_is_told_and_never_guessed_around() {
        let dir = tempfile::tempdir().unwrap();
        let command = json!({"op": "copy"});
        drop(open(dir.path(), "k", &command, "j1").unwrap());
        let path = file_of(dir.path(), "k");
        let mut bytes = operator::read_small(&path, 1 << 30).unwrap();
        let len = bytes.len();
        bytes.iter_mut().take(len).step_by(7).for_each(|b| *b ^= 0x5a);
        let file = operator::open_private(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        let error = open(dir.path(), "k", &command, "j2").unwrap_err();
        assert_eq!(error.kind(), Kind::JournalCorrupt);
        assert!(forget(dir.path(), "k").unwrap());
    }

    /// A receipt is durable before the name is given: after a kill in between, what stands there is
    /// what the attempt before wrote, and is known as its own.
    #[test]
    fn what_an_attempt_was_about_to_replace_stays_known() {
        let dir = tempfile::tempdir().unwrap();
        let command = json!({"op": "copy"});
        let item = Item {
            path: ItemPath::root(),
            kind: ItemKind::File,
            size: 1,
            attributes: Attributes::default(),
            identity: Identity::default(),
            link: None,
            special: None,
            handle: Handle::default(),
        };
        let mark = |ino| Mark { ino, ..Mark::default() };
        for attempt in 1..=3u64 {
            let Opened::Run(ledger) =
                open(dir.path(), "k", &command, &format!("j{attempt}")).unwrap()
            else {
                panic!("run")
            };
            let receipt = Receipt::new(&item, mark(attempt), &[]);
            ledger.commit(&[(b"a".to_vec(), receipt)]).unwrap();
            let known = ledger.receipt(b"a").unwrap().unwrap();
            assert!(known.wrote(mark(attempt)) && !known.wrote_earlier(mark(attempt)));
            assert!((1..attempt).all(|ino| known.wrote_earlier(mark(ino))));
            assert!(!known.wrote_earlier(mark(9)));
        }
    }
}
