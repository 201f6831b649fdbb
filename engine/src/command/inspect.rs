//! `inspect`: what is there, without reading any content.

use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{BytePath, LimitSpec, LocationSpec, object};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::command::forecast::{ONLY_READS, survey_totals};
use crate::command::inspect_tables::InspectTables;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::{Caps, Descend, Visitor};
use crate::error::{EngineError, Result};
use crate::job::Job;
use crate::model::choice::LinkPolicy;
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::progress::add;
use crate::wire;

/// Largest files listed.
const LARGEST_SHOWN: usize = 5;

/// The fields of `inspect`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InspectParams {
    /// What is looked at.
    pub src: LocationSpec,
    /// Globs of what is counted. Default: everything.
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
    op: "inspect",
    about: "Count what is there: kinds, sizes, names",
    schema: || schemars::schema_for!(InspectParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: InspectParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let work = (|| {
        let src = wire::location(&params.src, "src")?;
        let selection = Selection::new(&params.include, &params.exclude)?;
        if endpoint::is_database(&src) {
            endpoint::database(&src).map_err(|error| error.field("src"))?;
            return Ok(Box::new(InspectTables { src, selection }) as Box<dyn Work>);
        }
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        Ok(Box::new(Inspect { src, selection }) as Box<dyn Work>)
    })();
    let work = work.map_err(|error: EngineError| wire::fault(&error))?;
    Ok(Prepared { limits: params.limits, work })
}

struct Inspect {
    src: Location,
    selection: Selection,
}

impl Work for Inspect {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.set_subject(self.src.name());
        let source = endpoint::open_source(&self.src, &job.ties)?;
        let mut census = Census::new(job);
        source.survey(&self.selection, LinkPolicy::Preserve, &mut census)?;
        job.progress.surveyed.store(true, std::sync::atomic::Ordering::Release);
        Ok(Answer { data: Some(census.report(source.caps())), ..Answer::default() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        survey_totals(job, "inspect", ("survey", ONLY_READS), &[self.src], &self.selection)
    }
}

struct Census<'a> {
    job: &'a Job,
    kind: Option<ItemKind>,
    files: u64,
    directories: u64,
    symlinks: u64,
    specials: u64,
    bytes: u64,
    unreadable: u64,
    not_utf8: u64,
    longest_name_bytes: usize,
    deepest: usize,
    /// Sorted: largest first, then by name.
    largest: Vec<(std::cmp::Reverse<u64>, Vec<u8>)>,
}

impl<'a> Census<'a> {
    fn new(job: &'a Job) -> Self {
        Self {
            job,
            kind: None,
            files: 0,
            directories: 0,
            symlinks: 0,
            specials: 0,
            bytes: 0,
            unreadable: 0,
            not_utf8: 0,
            longest_name_bytes: 0,
            deepest: 0,
            largest: Vec::new(),
        }
    }

    fn name(&mut self, path: &ItemPath) {
        let name = path.name();
        self.longest_name_bytes = self.longest_name_bytes.max(name.len());
        self.not_utf8 += u64::from(std::str::from_utf8(name).is_err());
        self.deepest = self.deepest.max(path.parts().count());
    }

    fn large(&mut self, item: &Item) {
        let entry = (std::cmp::Reverse(item.size), item.path.as_bytes().to_vec());
        let at = self.largest.partition_point(|other| *other < entry);
        if at < LARGEST_SHOWN {
            self.largest.insert(at, entry);
            self.largest.truncate(LARGEST_SHOWN);
        }
    }

    fn report(self, caps: Caps) -> Value {
        let largest = self.largest.iter().map(|(bytes, path)| {
            let mut entry = json!(BytePath::new(path));
            entry["bytes"] = bytes.0.into();
            entry
        });
        let largest = wire::sample(largest);
        json!({
            "kind": self.kind.unwrap_or(ItemKind::Directory).name(),
            "files": self.files,
            "directories": self.directories,
            "symlinks": self.symlinks,
            "specials": self.specials,
            "bytes": self.bytes,
            "unreadable": self.unreadable,
            "not_utf8": self.not_utf8,
            "longest_name_bytes": self.longest_name_bytes,
            "deepest": self.deepest,
            "largest": largest,
            "endpoint": {
                "scheme": caps.scheme,
                "capabilities": {
                    "directories": caps.directories,
                    "links": caps.links,
                    "attributes": caps.attributes,
                    "random_writes": caps.random_writes,
                    "atomic_noreplace": caps.atomic_noreplace,
                    "mtime_step_ns": caps.mtime_step_ns,
                },
            },
        })
    }
}

impl Visitor for Census<'_> {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        self.job.pass()?;
        self.kind.get_or_insert(ItemKind::Directory);
        if !directory.path.is_root() {
            self.directories += 1;
            self.name(&directory.path);
        }
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        self.job.take_op()?;
        self.kind.get_or_insert(item.kind);
        self.name(&item.path);
        match item.kind {
            ItemKind::File => {
                self.files += 1;
                self.bytes += item.size;
                self.large(&item);
            }
            ItemKind::Symlink => self.symlinks += 1,
            ItemKind::Special | ItemKind::Directory => self.specials += 1,
        }
        add(&self.job.progress.items_total, 1);
        self.job.done(item.path.as_bytes(), 0, &[]);
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        Ok(())
    }

    fn failed(&mut self, path: &ItemPath, error: EngineError) -> Result<()> {
        self.unreadable += 1;
        add(&self.job.progress.items_total, 1);
        self.job.fail(path.as_bytes(), error);
        Ok(())
    }
}
