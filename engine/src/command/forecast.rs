//! What commands would do: surveys that count and decide, and touch nothing.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use crate::command::{Planned, mirror};
use crate::endpoint;
use crate::endpoint::contract::{Descend, ObjectSource, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::CHUNK_BYTES;
use crate::model::choice::{Carry, Compare, Consent, LinkPolicy, OnExists};
use crate::model::found::{Found, Mark};
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::{ItemPath, is_kept};
use crate::model::selection::Selection;
use crate::pipeline::compare::{There, same_content};
use crate::pipeline::content::ChunkBuffer;
use crate::pipeline::delete::Deletion;
use crate::pipeline::links::{First, Names, Turn};
use crate::pipeline::recode::{Recode, Way};
use crate::plan::conflict::{Decision, Rule};
use crate::plan::digest::PlanDigest;
use crate::plan::extra::Cap;
use crate::plan::method::{Method, is_large};
use crate::platform::process;
use crate::progress::add;

/// Why a command that changes nothing goes as it does.
pub const ONLY_READS: &str = "it only reads";

/// The plan of a command that only reads.
///
/// # Errors
/// What keeps a source from being surveyed.
pub fn survey_totals(
    job: &Job,
    op: &str,
    (method, why): (&str, &str),
    sources: &[Location],
    selection: &Selection,
) -> Result<Planned> {
    let mut totals = Totals { job, items: 0, bytes: 0, directories: 0 };
    for location in sources {
        endpoint::open_source(location, &job.ties)?.survey(
            selection,
            LinkPolicy::Preserve,
            &mut totals,
        )?;
    }
    job.progress.surveyed.store(true, Ordering::Release);
    let data = json!({
        "op": op,
        "method": method,
        "why": why,
        "items": totals.items,
        "bytes": totals.bytes,
        "directories": totals.directories,
    });
    Ok(Planned { data })
}

struct Totals<'a> {
    job: &'a Job,
    items: u64,
    bytes: u64,
    directories: u64,
}

impl Visitor for Totals<'_> {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        self.job.pass()?;
        self.directories += u64::from(!directory.path.is_root());
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        self.job.pass()?;
        self.items += 1;
        self.bytes += item.size;
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

/// Size below which a file's missing blocks are no holes worth telling: filesystems store small
/// files within the inode.
const HOLES_BYTES_MIN: u64 = 64 << 10;

/// A copy to be planned.
pub struct CopyPlan<'a> {
    /// Where from.
    pub src: &'a Location,
    /// Where to.
    pub dst: &'a Location,
    /// Which items.
    pub selection: &'a Selection,
    /// What stands there.
    pub on_exists: OnExists,
    /// How that is told to be the same.
    pub compare: Compare,
    /// Whether links are left out.
    pub skip_links: bool,
    /// How links are surveyed.
    pub links: LinkPolicy,
    /// What is carried over.
    pub carry: Carry,
    /// Parts of one large file in hand at once.
    pub parallel_chunks: usize,
    /// What happens to files on their way.
    pub recode: Option<Recode>,
    /// The most that is deleted at the destination; `None` where nothing is.
    pub delete: Option<Cap>,
}

impl CopyPlan<'_> {
    /// Surveys both sides.
    ///
    /// # Errors
    /// What keeps either from being surveyed, `Overlap`.
    pub fn make(&self, job: &Job) -> Result<Planned> {
        let source = endpoint::open_source(self.src, &job.ties)?;
        if endpoint::overlap(self.src, self.dst)? {
            let message = "source and destination are the same or lie inside each other";
            return Err(EngineError::new(Kind::Overlap, message).at(self.dst.shown()));
        }
        let other = match endpoint::open_source(self.dst, &job.ties) {
            Ok(other) => Some(other),
            Err(error) if error.kind() == Kind::SourceNotFound => None,
            Err(error) => return Err(error),
        };
        let steps = other.as_ref().map_or(1, |other| other.caps().mtime_step_ns);
        let rule = Rule {
            on_exists: self.on_exists,
            compare: self.compare,
            step_ns: source.caps().mtime_step_ns.max(steps),
        };
        let links = endpoint::written(self.dst)?.caps.links;
        let mut forecast = Forecast::new(job, self, rule, &*source, other.as_deref());
        forecast.links = links;
        source.survey(self.selection, self.links, &mut forecast)?;
        job.progress.surveyed.store(true, Ordering::Release);
        let mut extra = Map::new();
        if let Some(cap) = self.delete {
            self.deletes(cap, &*source, &mut forecast)?.report(&mut extra);
        }
        let mut data = forecast.report();
        if let Value::Object(data) = &mut data {
            data.append(&mut extra);
        }
        Ok(Planned { data })
    }

    fn deletes(
        &self,
        cap: Cap,
        source: &dyn ObjectSource,
        forecast: &mut Forecast<'_>,
    ) -> Result<mirror::Forecast> {
        if !forecast.tree {
            return Ok(mirror::Forecast::default());
        }
        let sink = endpoint::open_sink(self.dst, &forecast.job.ties)?;
        let deletion = Deletion {
            job: forecast.job,
            source,
            sink: &*sink,
            selection: self.selection,
            links: self.links,
            cap,
            dress: None,
            lease: None,
            parallel: 1,
        };
        let halts = forecast.conflict + forecast.special_files > 0;
        mirror::Forecast::make(&deletion, forecast.items, halts, &mut forecast.digest)
    }
}

struct Forecast<'a> {
    /// Whether the destination keeps links.
    links: bool,
    job: &'a Job,
    plan: &'a CopyPlan<'a>,
    rule: Rule,
    source: &'a dyn ObjectSource,
    /// Taken with the first two files whose contents are compared.
    buffer: Option<ChunkBuffer>,
    other: Option<&'a dyn ObjectSource>,
    names: Names<'a>,
    tree: bool,
    /// Kind of a source that is one item.
    kind: ItemKind,
    /// Files that go by parts.
    large: u64,
    /// Files that are compressed or decompressed on their way.
    coded: u64,
    items: u64,
    bytes: u64,
    directories: u64,
    new: u64,
    replace: u64,
    skip: u64,
    conflict: u64,
    special_files: u64,
    hard_links: u64,
    setuid_bits: u64,
    holes: u64,
    xattrs: u64,
    acls: u64,
    owner: u64,
    digest: PlanDigest,
}

impl<'a> Forecast<'a> {
    fn new(
        job: &'a Job,
        plan: &'a CopyPlan<'a>,
        rule: Rule,
        source: &'a dyn ObjectSource,
        other: Option<&'a dyn ObjectSource>,
    ) -> Self {
        Self {
            links: true,
            job,
            plan,
            rule,
            source,
            buffer: None,
            other,
            names: Names::new(job, plan.carry.hard_links),
            tree: false,
            kind: ItemKind::File,
            large: 0,
            coded: 0,
            items: 0,
            bytes: 0,
            directories: 0,
            new: 0,
            replace: 0,
            skip: 0,
            conflict: 0,
            special_files: 0,
            hard_links: 0,
            setuid_bits: 0,
            holes: 0,
            xattrs: 0,
            acls: 0,
            owner: 0,
            digest: PlanDigest::default(),
        }
    }

    fn found(&self, path: &ItemPath) -> Result<Option<Found>> {
        let Some(other) = self.other else {
            return Ok(None);
        };
        Ok(other.find(path)?.map(|item| Found {
            kind: item.kind,
            size: item.size,
            mtime: item.attributes.mtime,
            mark: Mark { dev: item.identity.dev, ino: item.identity.ino, ..Mark::default() },
            link: item.link,
            folded: false,
            special: item.special,
        }))
    }

    /// Whether both contents are the same, where that decides.
    fn is_same(&mut self, item: &Item, found: Option<&Found>) -> Result<bool> {
        let Some(other) = self.other.filter(|_| self.rule.asks_content(item, found)) else {
            return Ok(false);
        };
        let buffer = match &mut self.buffer {
            Some(buffer) => buffer,
            empty => empty.insert(ChunkBuffer::new(self.job, CHUNK_BYTES)?),
        };
        let there = There { source: other, path: &item.path, algorithms: &[], way: None };
        let same = same_content(self.job, self.source, there, item, buffer)?;
        Ok(same.is_some())
    }

    /// The item by a closer look, where times are about to be compared and a survey tells less.
    fn refined(&self, item: Item, found: Option<&Found>) -> Result<Item> {
        let timed = self.rule.asks_time(&item, found);
        let closer = if timed { self.source.refine(&item)? } else { None };
        Ok(closer.unwrap_or(item))
    }

    /// How a file is compressed or decompressed on its way.
    fn way(&self, item: &Item) -> Option<Way> {
        let recode = self.plan.recode.filter(|_| item.kind == ItemKind::File)?;
        recode.way(if item.path.is_root() { self.plan.src.name() } else { item.path.name() })
    }

    /// What stands where an item goes. The size of what is coded says nothing about its source's.
    fn standing(&self, item: &Item, way: Option<Way>) -> Result<Option<Found>> {
        match way {
            None => self.found(&item.path),
            Some(_) if item.path.is_root() => self.found(&item.path),
            Some(way) => self.found(&item.path.sibling(&way.renamed(item.path.name()))?),
        }
        .map(|found| {
            found.map(|found| Found { size: way.map_or(found.size, |_| item.size), ..found })
        })
    }

    fn losses(&mut self, item: &Item) -> Result<()> {
        let carry = self.plan.carry;
        let is_file = item.kind == ItemKind::File;
        self.hard_links += u64::from(!carry.hard_links && item.attributes.links > 1);
        let sparse = is_file && item.attributes.allocated < item.size;
        self.holes += u64::from(!carry.holes && sparse && item.size >= HOLES_BYTES_MIN);
        let special_bits = is_file && item.attributes.mode & 0o7000 != 0;
        self.setuid_bits += u64::from(special_bits && !carry.setuid);
        self.hanging(item)
    }

    /// Losses that directories have too.
    fn hanging(&mut self, item: &Item) -> Result<()> {
        let carry = self.plan.carry;
        let foreign = (item.attributes.uid, item.attributes.gid) != process::ids();
        self.owner += u64::from(!carry.owner && foreign);
        if carry.xattrs && carry.acls {
            return Ok(());
        }
        let left =
            Carry { xattrs: !carry.xattrs, acls: !carry.acls, setuid: true, ..Carry::default() };
        let extended = self.source.extended(item, left)?;
        self.xattrs += u64::from(!extended.xattrs.is_empty());
        self.acls += u64::from(extended.access.is_some() || extended.default.is_some());
        Ok(())
    }

    /// What becomes of an item that may have other names, and how many of its bytes are copied.
    fn named(
        &self,
        item: &Item,
        found: Option<&Found>,
        decision: Decision,
    ) -> Result<(Decision, u64)> {
        let standing = found.map(|found| found.mark).filter(|_| {
            // With `update` it stays because it was found to be the same.
            let updates = self.plan.on_exists == OnExists::Update;
            let agrees = || found.is_some_and(|found| self.rule.agrees(item, found));
            matches!(decision, Decision::Skip) && (updates || agrees())
        });
        let first = |mark| First::new(item, Vec::new(), mark, &[]);
        match (self.names.turn(item)?, decision) {
            (Turn::First(claim), Decision::Write(_)) => claim.stands(first(Mark::default()))?,
            (Turn::First(claim), Decision::Skip) => {
                standing.map_or(Ok(()), |mark| claim.stands(first(mark)))?;
            }
            (Turn::Later(_), Decision::Write(_)) => return Ok((decision, 0)),
            (Turn::Later(other), Decision::Skip) if self.plan.on_exists == OnExists::Update => {
                let joined = standing.is_some_and(|mark| mark.is_same(&other.original.mark));
                let relink = Decision::Write(Consent::Replace(Mark::default()));
                return Ok((if joined { decision } else { relink }, 0));
            }
            _ => {}
        }
        Ok((decision, item.size))
    }

    fn report(self) -> Value {
        let losses: Vec<Value> = [
            ("special_files", self.special_files),
            ("hard_links", self.hard_links),
            ("setuid_bits", self.setuid_bits),
            ("holes", self.holes),
            ("xattrs", self.xattrs),
            ("acls", self.acls),
            ("owner", self.owner),
        ]
        .into_iter()
        .filter(|(_, items)| *items > 0)
        .map(|(what, items)| json!({ "what": what, "items": items }))
        .collect();
        let kind = if self.tree { ItemKind::Directory } else { self.kind };
        let parts = if self.coded > 0 { 1 } else { self.plan.parallel_chunks };
        let method = Method::of(kind, self.bytes, parts);
        json!({
            "op": "copy",
            "method": method.name(),
            "why": method.why(self.items, self.bytes, self.large, self.coded),
            "items": self.items,
            "bytes": self.bytes,
            "directories": self.directories,
            "new": self.new,
            "replace": self.replace,
            "skip": self.skip,
            "conflict": self.conflict,
            "losses": losses,
            "digest": self.digest.finish(),
        })
    }
}

impl Visitor for Forecast<'_> {
    fn enter(&mut self, directory: Item) -> Result<Descend> {
        self.job.pass()?;
        self.tree = true;
        let found = self.found(&directory.path)?;
        let replaces = matches!(self.plan.on_exists, OnExists::Update | OnExists::Replace);
        let dressed = found.is_none() || replaces;
        let in_the_way = found.is_some_and(|found| found.kind != ItemKind::Directory);
        if directory.path.is_root() {
            if in_the_way {
                let message = "another kind of thing stands at the destination";
                let error = EngineError::new(Kind::DestinationType, message);
                return Err(error.at(self.plan.dst.shown()));
            }
        } else if in_the_way {
            self.items += 1;
            self.conflict += 1;
            self.digest.add("conflict", &directory);
            return Ok(Descend::Skip);
        }
        self.directories += u64::from(!directory.path.is_root());
        if dressed {
            self.hanging(&directory)?;
        }
        Ok(Descend::Into)
    }

    fn item(&mut self, item: Item) -> Result<()> {
        self.job.take_op()?;
        self.items += 1;
        let special = item.kind == ItemKind::Special && !self.plan.carry.specials;
        if special || is_kept(item.path.name()) {
            self.special_files += 1;
            self.digest.add("refuse", &item);
            return Ok(());
        }
        if item.kind == ItemKind::Symlink && self.plan.skip_links {
            self.skip += 1;
            self.digest.add("skip", &item);
            return Ok(());
        }
        let way = self.way(&item);
        let found = match self.standing(&item, way) {
            Err(error) if error.kind() == Kind::NameRefused => {
                self.conflict += 1;
                self.digest.add("refuse", &item);
                return Ok(());
            }
            found => found?,
        };
        if item.kind == ItemKind::Symlink && !self.links {
            self.conflict += 1;
            self.digest.add("refuse", &item);
            return Ok(());
        }
        let item = self.refined(item, found.as_ref())?;
        let decision = match self.is_same(&item, found.as_ref())? {
            true => Decision::Skip,
            false => self.rule.decide(&item, found.as_ref()),
        };
        let (decision, bytes) = self.named(&item, found.as_ref(), decision)?;
        match decision {
            Decision::Write(_) => {
                self.bytes += bytes;
                self.kind = item.kind;
                self.coded += u64::from(way.is_some());
                self.large += u64::from(way.is_none() && is_large(item.size));
                *if found.is_some() { &mut self.replace } else { &mut self.new } += 1;
                self.losses(&item)?;
            }
            Decision::Skip => self.skip += 1,
            Decision::Conflict(_) => self.conflict += 1,
        }
        self.digest.add(decision.name(found.is_some()), &item);
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
