//! `verify`: whether two files, trees or databases are equal, by reading both. Shares no reading code with
//! the pipeline that copies.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use migration_protocol::event::Verified;
use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{LimitSpec, LocationSpec, object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::command::forecast::{ONLY_READS, survey_totals};
use crate::command::verify_tables::VerifyTables;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::{Descend, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::CHUNK_BYTES;
use crate::model::choice::LinkPolicy;
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::content::ChunkBuffer;
use crate::pipeline::feed::{Handler, Ticket, ends_job, feed};
use crate::progress::{Spent, add};
use crate::wire;

/// How far two things are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompareLevel {
    /// Byte by byte; of tables, every row.
    #[default]
    Content,
    /// Sizes only; of tables, the number of rows.
    Size,
}

/// The fields of `verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyParams {
    /// The one side.
    pub src: LocationSpec,
    /// The other side.
    pub dst: LocationSpec,
    /// How far. Default: content.
    #[serde(default)]
    pub level: CompareLevel,
    /// Globs of what is compared. Default: everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of what is left out. Default: nothing.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "verify",
    about: "Compare two files or trees, reading both",
    schema: || schemars::schema_for!(VerifyParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: VerifyParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let work = (|| {
        let src = wire::location(&params.src, "src")?;
        let dst = wire::location(&params.dst, "dst")?;
        let selection = Selection::new(&params.include, &params.exclude)?;
        if endpoint::is_database(&src) {
            endpoint::database(&dst).map_err(|error| error.field("dst"))?;
            let counts_only = params.level == CompareLevel::Size;
            let work = VerifyTables { src, dst, selection, counts_only };
            return Ok(Box::new(work) as Box<dyn Work>);
        }
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        endpoint::scheme(&dst).map_err(|error| error.field("dst"))?;
        Ok(Box::new(Verify { src, dst, level: params.level, selection }) as Box<dyn Work>)
    })();
    let work = work.map_err(|error: EngineError| wire::fault(&error))?;
    Ok(Prepared { limits: params.limits, work })
}

struct Verify {
    src: Location,
    dst: Location,
    level: CompareLevel,
    selection: Selection,
}

#[derive(Default)]
struct Counts {
    matched: AtomicU64,
    mismatched: AtomicU64,
    missing: AtomicU64,
    extra: AtomicU64,
}

impl Work for Verify {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("verify");
        job.set_subject(self.src.name());
        let source = endpoint::open_source(&self.src, &job.ties)?;
        let other =
            endpoint::open_source(&self.dst, &job.ties).map_err(|error| match error.kind() {
                Kind::SourceNotFound => {
                    let message = "the destination does not exist";
                    EngineError::new(Kind::VerifyMismatch, message).at(self.dst.shown())
                }
                _ => error,
            })?;
        let counts = Counts::default();
        let directories = self.selection.keeps_directories();
        let comparer = Comparer {
            job,
            source: &*source,
            other: &*other,
            level: self.level,
            directories,
            counts: &counts,
        };
        let parallel = fields::default_parallel_files(source.caps().remote || other.caps().remote);
        feed(job, &*source, &self.selection, LinkPolicy::Preserve, parallel, &comparer)?;
        let mut extras = Extras { job, source: &*source, directories, counts: &counts };
        other.survey(&self.selection, LinkPolicy::Preserve, &mut extras)?;
        let level = match self.level {
            CompareLevel::Content => "content",
            CompareLevel::Size => "size",
        };
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let (mismatched, missing, extra) =
            (count(&counts.mismatched), count(&counts.missing), count(&counts.extra));
        let data = json!({
            "matched": count(&counts.matched), "mismatched": mismatched, "missing": missing,
            "extra": extra, "level": level,
        });
        let compared = self.level == CompareLevel::Content;
        let verify = Verified {
            level: if compared { "compare" } else { "size" }.to_owned(),
            algorithm: None,
            items: count(&counts.matched),
            bytes: if compared { count(&job.progress.bytes_ok) } else { 0 },
            mismatches: mismatched + missing + extra,
        };
        Ok(Answer { data: Some(data), verify: Some(verify), strict: true, advice: Vec::new() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        survey_totals(
            job,
            "verify",
            ("compare", ONLY_READS),
            &[self.src, self.dst],
            &self.selection,
        )
    }
}

struct Comparer<'a> {
    job: &'a Job,
    source: &'a dyn ObjectSource,
    other: &'a dyn ObjectSource,
    level: CompareLevel,
    /// Whether directories count by themselves: with `include` only what is in them does.
    directories: bool,
    counts: &'a Counts,
}

/// Two chunks side by side.
struct Sides {
    left: ChunkBuffer,
    right: ChunkBuffer,
}

fn differs(message: impl Into<String>) -> EngineError {
    EngineError::new(Kind::VerifyMismatch, message)
}

impl Handler for Comparer<'_> {
    type Scope = ();
    type Hand = Sides;

    fn remote(&self) -> bool {
        self.other.caps().remote
    }

    fn hand(&self) -> Result<Sides> {
        let [left, right] = ChunkBuffer::pair(self.job, CHUNK_BYTES)?;
        Ok(Sides { left, right })
    }

    fn enter(&self, above: Option<&()>, directory: &Item) -> Result<()> {
        let found = self.other.find(&directory.path)?;
        let problem = match found.map(|item| item.kind) {
            Some(ItemKind::Directory) => return Ok(()),
            Some(kind) => {
                self.counts.mismatched.fetch_add(1, Relaxed);
                differs(format!("a directory at the source, a {} at the destination", kind.name()))
            }
            None if !self.directories || !self.other.caps().directories => return Ok(()),
            None => {
                self.counts.missing.fetch_add(1, Relaxed);
                differs("missing at the destination")
            }
        };
        if above.is_none() {
            return Err(problem);
        }
        add(&self.job.progress.items_total, 1);
        self.job.fail(directory.path.as_bytes(), problem);
        Ok(())
    }

    fn alone(&self, _item: &Item) -> Result<()> {
        Ok(())
    }

    fn take(&self, sides: &mut Sides, item: Item, ticket: Ticket<()>) -> Result<()> {
        self.job.take_op()?;
        let outcome = self.compare(sides, &item);
        ticket.end(self);
        match outcome {
            Ok(()) => {
                self.counts.matched.fetch_add(1, Relaxed);
                self.job.done(item.path.as_bytes(), item.size, &[]);
                Ok(())
            }
            Err(error) if ends_job(error.kind()) => Err(error),
            Err(error) => {
                if error.kind() == Kind::VerifyMismatch {
                    self.counts.mismatched.fetch_add(1, Relaxed);
                }
                self.job.fail(item.path.as_bytes(), error);
                Ok(())
            }
        }
    }

    fn leave(&self, _directory: &Item, _scope: &()) {}
}

impl Comparer<'_> {
    fn compare(&self, sides: &mut Sides, item: &Item) -> Result<()> {
        let Some(other) = self.other.find(&item.path)? else {
            self.counts.missing.fetch_add(1, Relaxed);
            self.counts.mismatched.fetch_sub(1, Relaxed);
            return Err(differs("missing at the destination"));
        };
        if other.kind != item.kind {
            let (a, b) = (item.kind.name(), other.kind.name());
            return Err(differs(format!("a {a} at the source, a {b} at the destination")));
        }
        if other.link != item.link {
            return Err(differs("the link's text differs"));
        }
        if other.size != item.size {
            let message =
                format!("{} bytes at the source, {} at the destination", item.size, other.size);
            return Err(differs(message));
        }
        if item.kind != ItemKind::File || self.level == CompareLevel::Size {
            return Ok(());
        }
        let open = || Ok::<_, EngineError>((self.source.open(item)?, self.other.open(&other)?));
        let (left, right) = self.job.progress.timed(Spent::SourceRead, open)?;
        self.content(sides, &*left, &*right, item)
    }

    fn content(
        &self,
        sides: &mut Sides,
        left: &dyn Reader,
        right: &dyn Reader,
        item: &Item,
    ) -> Result<()> {
        let shown = self.job.show(item.path.as_bytes(), item.size);
        let mut offset = 0u64;
        loop {
            self.job.take_bytes(CHUNK_BYTES.min(item.size.saturating_sub(offset)))?;
            let read = || {
                Ok::<_, EngineError>((
                    fill(left, offset, sides.left.bytes())?,
                    fill(right, offset, sides.right.bytes())?,
                ))
            };
            let (a, b) = self.job.progress.timed(Spent::SourceRead, read)?;
            let full = sides.left.bytes().len();
            let a = sides.left.bytes().get(..a).unwrap_or_default();
            let b = sides.right.bytes().get(..b).unwrap_or_default();
            if a != b {
                let same = a.iter().zip(b).take_while(|(a, b)| a == b).count() as u64;
                return Err(differs("the content differs").offset(offset + same));
            }
            offset += a.len() as u64;
            add(&self.job.progress.bytes_done, a.len() as u64);
            if let Some(shown) = &shown {
                shown.add(a.len() as u64);
            }
            if a.len() < full {
                return Ok(());
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(reader: &dyn Reader, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match reader.read_at(offset + done as u64, rest)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

/// Finds what is only at the destination.
struct Extras<'a> {
    job: &'a Job,
    source: &'a dyn ObjectSource,
    directories: bool,
    counts: &'a Counts,
}

impl Extras<'_> {
    fn extra(&self, path: &ItemPath) {
        self.counts.extra.fetch_add(1, Relaxed);
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), differs("only at the destination"));
    }
}

impl Visitor for Extras<'_> {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        self.job.pass()?;
        let found = self.source.find(&directory.path)?;
        if found.is_some() || !self.directories || !self.source.caps().directories {
            return Ok(Descend::Into);
        }
        self.extra(&directory.path);
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        self.job.pass()?;
        if self.source.find(&item.path)?.is_none() {
            self.extra(&item.path);
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        Ok(())
    }

    fn failed(&mut self, path: &ItemPath, error: EngineError) -> Result<()> {
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), error);
        Ok(())
    }
}
