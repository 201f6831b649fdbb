//! Rows that were rejected, taken again from the source by their keys, once whatever kept them out is
//! mended. Their file is left with those that are still rejected: it is written anew, in one step, when
//! the ledger has everything else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::endpoint::rows::SpanReader;
use crate::error::{EngineError, Kind, Result};
use crate::limits::{RETRY_KEYS, RETRY_LINES};
use crate::model::catalog::Engine;
use crate::model::kind::ColumnType;
use crate::model::rows::{Misfit, Range, Read, Span};
use crate::platform::operator;
use crate::table::copy::Copy;
use crate::table::mapping::TablePlan;

/// A key as a line tells it.
type Cells = BTreeMap<String, Cell>;
/// A key as ranges tell it.
type Key = Vec<String>;

#[derive(Debug, Deserialize)]
struct Line {
    table: String,
    key: Cells,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Cell {
    Text(String),
    Bytes { b64: String },
    Null(()),
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys whose rows were taken again.
    pub taken: u64,
    /// Keys that no row has any more, or none that the filter lets pass: their lines stay.
    pub missing: u64,
    /// Lines that are left in the file.
    pub left: u64,
}

/// The rows of one file.
#[derive(Debug)]
pub struct Retry {
    path: PathBuf,
    side: PathBuf,
    engine: Engine,
    lines: u64,
    /// By the table at the target, as it is shown.
    keys: HashMap<String, Vec<Cells>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    taken: HashMap<String, Taken>,
}

/// What is taken of a table.
#[derive(Debug)]
struct Taken {
    columns: Vec<(String, ColumnType)>,
    keys: HashSet<Key>,
}

/// Where rows that stay rejected wait until the file is written anew.
fn side(path: &Path) -> PathBuf {
    let mut side = path.as_os_str().to_owned();
    side.push(".retry");
    PathBuf::from(side)
}

/// Removes what an attempt left beside a file.
///
/// # Errors
/// `DestinationWrite`.
pub fn clear(file: &[u8]) -> Result<()> {
    let path = operator::path(file);
    operator::remove_file(&side(path)).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> EngineError {
    EngineError::new(Kind::DestinationWrite, "failed to write the file of rejected rows anew")
        .at(path.as_os_str().as_encoded_bytes().to_vec())
        .because(error.to_string(), error.raw_os_error())
}

fn unreadable(path: &Path, why: &str) -> EngineError {
    EngineError::new(Kind::InvalidField, format!("the file of rejected rows {why}"))
        .at(path.as_os_str().as_encoded_bytes().to_vec())
        .field("retry_rejects")
}

impl Retry {
    /// Reads the file; `engine` is the one that its rows come from.
    ///
    /// # Errors
    /// `InvalidField` for a file that cannot be read or that holds something else; `Unsupported` for
    /// one with too many lines.
    pub fn read(file: &[u8], engine: Engine) -> Result<Self> {
        let path = operator::path(file).to_path_buf();
        let opened = operator::open_file(file).and_then(|file| Ok((file.metadata()?, file)));
        let broken = |error: io::Error| {
            unreadable(&path, "cannot be read").because(error.to_string(), error.raw_os_error())
        };
        let (facts, file) = opened.map_err(broken)?;
        if !facts.is_file() {
            return Err(unreadable(&path, "is no regular file"));
        }
        let mut keys: HashMap<String, Vec<Cells>> = HashMap::new();
        let mut lines = 0;
        for (line, number) in io::BufReader::new(file).split(b'\n').zip(1_usize..) {
            let line = line.map_err(broken)?;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if number > RETRY_LINES {
                let message = format!("a file of more than {RETRY_LINES} rejected rows");
                return Err(EngineError::new(Kind::Unsupported, message)
                    .field("retry_rejects")
                    .hint("split the file, and take its parts one after the other"));
            }
            let line: Line = serde_json::from_slice(&line).map_err(|_| {
                unreadable(&path, &format!("holds something else in line {number}"))
            })?;
            keys.entry(line.table).or_default().push(line.key);
            lines += 1;
        }
        let side = side(&path);
        Ok(Self { path, side, engine, lines, keys, state: Mutex::default() })
    }

    /// Lines in the file, blank ones aside.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Where rows that are still rejected wait.
    #[must_use]
    pub fn side(&self) -> &Path {
        &self.side
    }

    /// What became of the lines.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plans of those tables that the file has rows of.
    ///
    /// # Errors
    /// `TableNotFound` where one does not stand at the target; `Unsupported` for one whose rows cannot
    /// be found again by a key.
    pub fn only(&self, plans: Vec<TablePlan>) -> Result<Vec<TablePlan>> {
        let has_rows = |plan: &TablePlan| self.keys.contains_key(&plan.target.name.shown());
        let plans: Vec<TablePlan> = plans.into_iter().filter(has_rows).collect();
        for plan in &plans {
            if !plan.stands {
                let message = "the table is gone that the rejected rows are for";
                return Err(EngineError::new(Kind::TableNotFound, message)
                    .at(plan.target.name.shown())
                    .field("retry_rejects"));
            }
            columns(plan)?;
        }
        Ok(plans)
    }

    /// The rows of a table, cut into spans: those that the source still has.
    ///
    /// # Errors
    /// Those of the source; `Unsupported` for keys that name no single row.
    pub fn ranges(&self, copy: &Copy<'_>, plan: &TablePlan) -> Result<Vec<Range>> {
        let shown = plan.target.name.shown();
        let columns = columns(plan)?;
        let mut wanted: BTreeSet<Key> = BTreeSet::new();
        for cells in self.keys.get(&shown).into_iter().flatten() {
            wanted.insert(key(self.engine, &columns, cells).ok_or_else(|| keyless(plan))?);
        }
        let wanted: Vec<Key> = wanted.into_iter().collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        let is_key = |name: &String| names.contains(name);
        let mut read = copy.read(plan);
        read.cells.retain(|cell| is_key(&cell.name));
        let mut finder = Finder {
            reader: copy.snapshot.reader()?,
            read: &read,
            columns: &names,
            found: Vec::new(),
        };
        for keys in wanted.chunks(RETRY_KEYS) {
            copy.job.pass()?;
            finder.find(keys).map_err(|error| error.at(plan.source.name.shown()))?;
        }
        let found = finder.found;
        let mut state = self.state();
        state.counts.taken += found.len() as u64;
        state.counts.missing += (wanted.len() - found.len()) as u64;
        let range = |keys: &[Key]| Range::Rows { columns: names.clone(), keys: keys.to_vec() };
        let ranges = found.chunks(RETRY_KEYS).map(range).collect();
        let keys = found.into_iter().collect();
        state.taken.insert(shown, Taken { columns, keys });
        Ok(ranges)
    }

    /// What an earlier attempt planned of a table is what is taken.
    ///
    /// # Errors
    /// `Unsupported` as [`Retry::only`].
    pub fn planned(&self, plan: &TablePlan, spans: &[Span]) -> Result<()> {
        let columns = columns(plan)?;
        let mut keys = HashSet::new();
        for span in spans {
            if let Range::Rows { keys: own, .. } = &span.range {
                keys.extend(own.iter().cloned());
            }
        }
        let mut state = self.state();
        state.counts.taken += keys.len() as u64;
        state.taken.insert(plan.target.name.shown(), Taken { columns, keys });
        Ok(())
    }

    /// Writes the file anew: without the rows that were taken, with those of them that stay rejected.
    ///
    /// # Errors
    /// `DestinationWrite`.
    pub fn finish(&self) -> Result<()> {
        let mut state = self.state();
        let State { taken, counts } = &mut *state;
        counts.left = 0;
        let edit = |from: &mut dyn BufRead, to: &mut dyn Write| {
            let (mut line, mut edited) = (Vec::new(), false);
            while from.read_until(b'\n', &mut line)? > 0 {
                let goes = self.is_taken(taken, &line);
                if !goes {
                    to.write_all(&line)?;
                    if !line.ends_with(b"\n") {
                        to.write_all(b"\n")?;
                    }
                    counts.left += u64::from(!line.trim_ascii().is_empty());
                }
                edited |= goes;
                line.clear();
            }
            for line in self.rejected()? {
                to.write_all(&line?)?;
                to.write_all(b"\n")?;
                counts.left += 1;
            }
            Ok(edited)
        };
        if !operator::stands(self.path.as_os_str().as_encoded_bytes()) {
            return Err(failed(&self.path, &io::Error::from(io::ErrorKind::NotFound)));
        }
        operator::rewrite(&self.path, edit).map_err(|error| failed(&self.path, &error))
    }

    /// Lines of rows that stay rejected.
    fn rejected(&self) -> io::Result<Box<dyn Iterator<Item = io::Result<Vec<u8>>>>> {
        match operator::open_file(self.side.as_os_str().as_encoded_bytes()) {
            Ok(file) => Ok(Box::new(io::BufReader::new(file).split(b'\n'))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Box::new(std::iter::empty()))
            }
            Err(error) => Err(error),
        }
    }

    fn is_taken(&self, taken: &HashMap<String, Taken>, line: &[u8]) -> bool {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { return false };
        let Some(of) = taken.get(&line.table) else { return false };
        key(self.engine, &of.columns, &line.key).is_some_and(|key| of.keys.contains(&key))
    }
}

/// Finds which keys the source has rows of.
struct Finder<'a> {
    reader: Box<dyn SpanReader + 'a>,
    read: &'a Read,
    columns: &'a [String],
    found: Vec<Key>,
}

impl Finder<'_> {
    fn find(&mut self, keys: &[Key]) -> Result<()> {
        let rows = self.count(keys)?;
        if rows > keys.len() {
            let message = "a key of a rejected row names several rows";
            return Err(EngineError::new(Kind::Unsupported, message).field("retry_rejects"));
        }
        if rows == keys.len() {
            self.found.extend_from_slice(keys);
        } else if rows > 0 {
            let (front, back) = keys.split_at(keys.len() / 2);
            self.find(front)?;
            self.find(back)?;
        }
        Ok(())
    }

    fn count(&mut self, keys: &[Key]) -> Result<usize> {
        let range = Range::Rows { columns: self.columns.to_vec(), keys: keys.to_vec() };
        self.reader.begin(self.read, &range)?;
        let mut rows = 0;
        while let Some(more) = self.reader.next(false)? {
            rows += more.count();
        }
        Ok(rows + self.reader.misfits().rejected.len())
    }
}

/// The columns of a table's key at the source, as lines name them.
fn columns(plan: &TablePlan) -> Result<Vec<(String, ColumnType)>> {
    let key = plan.target.primary_key.as_ref().map(|key| key.columns.as_slice());
    let both = plan.read.iter().zip(&plan.write).zip(plan.masks.iter().zip(&plan.casts));
    let is_key = |name: &String| key.is_some_and(|key| key.contains(name));
    let mut columns = Vec::new();
    for ((read, _), (mask, cast)) in both.filter(|((_, write), _)| is_key(&write.name)) {
        // A line holds what the source holds, or it names another row.
        let is_plain = mask.is_none()
            && cast.is_none()
            && !matches!(read.misfit, Misfit::Null | Misfit::Clamp);
        let Some(column) = plan.source.column(&read.name).filter(|_| is_plain) else {
            return Err(keyless(plan));
        };
        columns.push((read.name.clone(), column.kind.clone()));
    }
    if columns.is_empty() || columns.len() < key.map_or(0, <[String]>::len) {
        return Err(keyless(plan));
    }
    Ok(columns)
}

fn keyless(plan: &TablePlan) -> EngineError {
    let message = "rejected rows of a table are found again by its primary key alone";
    EngineError::new(Kind::Unsupported, message)
        .at(plan.source.name.shown())
        .field("retry_rejects")
        .hint("leave the table out by exclude, and copy it again by mode replace; a key that is masked, cast or changed by a policy tells no row")
}

/// A key as ends of ranges are told; `None` for one that is not of these columns.
fn key(engine: Engine, columns: &[(String, ColumnType)], cells: &Cells) -> Option<Key> {
    if cells.len() != columns.len() {
        return None;
    }
    columns.iter().map(|(name, kind)| end(engine, kind, cells.get(name)?)).collect()
}

fn end(engine: Engine, kind: &ColumnType, cell: &Cell) -> Option<String> {
    let bytes = match cell {
        Cell::Text(text) => text.as_bytes().to_vec(),
        Cell::Bytes { b64 } => BASE64.decode(b64).ok()?,
        Cell::Null(()) => return None,
    };
    // MySQL takes off the spaces that a CHAR(n) is read with, and knows no zone but the session's.
    let bytes = match (engine, kind) {
        (Engine::Mysql, ColumnType::Char(_)) => {
            let kept = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            bytes.get(..kept).unwrap_or_default().to_vec()
        }
        (Engine::Mysql, ColumnType::TimestampTz) => {
            bytes.strip_suffix(b"Z").map_or(bytes.clone(), <[u8]>::to_vec)
        }
        _ => bytes,
    };
    let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let is_bytes = matches!(kind, ColumnType::Bytes(_) | ColumnType::FixedBytes(_));
    let is_text = std::str::from_utf8(&bytes).is_ok();
    Some(match (engine, is_bytes) {
        (Engine::Postgres, true) => format!("\\x{}", hex()),
        (Engine::Sqlite, true) => format!("x{}", hex()),
        (Engine::Sqlite, false) if is_text => format!("'{}", String::from_utf8(bytes).ok()?),
        (Engine::Postgres, false) => String::from_utf8(bytes).ok()?,
        (Engine::Sqlite, false) => format!("x{}", hex()),
        (_, true) => hex(),
        (_, false) => String::from_utf8(bytes).ok()?,
    })
}
