//! `checksum`: digests of files and trees, listed, or compared with a list.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use migration_protocol::event::{SAMPLE_MAX, Verified};
use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{
    self as words, BytePath, LimitSpec, LocationSpec, OneOrMany, object,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::command::forecast::{ONLY_READS, survey_totals};
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::{Caps, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{CHANGED_ATTEMPTS, CHUNK_BYTES, PARALLEL_FILES_MAX};
use crate::model::choice::LinkPolicy;
use crate::model::digest::{Algorithm, Digest};
use crate::model::item::{Item, ItemKind};
use crate::model::leftover::Root;
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::content::{self, ChunkBuffer, Content, Reading};
use crate::pipeline::feed::{Handler, Ticket, ends_job, feed};
use crate::pipeline::leftovers::list_root;
use crate::pipeline::manifest::{
    self, Expected, Form, ManifestWriter, refuse_as_manifest, with_manifest,
};
use crate::pipeline::parts::Large;
use crate::plan::method::is_large;
use crate::progress::{Spent, add};
use crate::wire;

/// The fields of `checksum`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecksumParams {
    /// One location or several.
    pub src: OneOrMany<LocationSpec>,
    /// One algorithm or several, all in one read. Default: sha256.
    #[serde(default)]
    pub algorithm: Option<OneOrMany<words::Algorithm>>,
    /// Globs of what is taken. Default: everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of what is left out. Default: nothing.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// The list that is written. Default: none.
    #[serde(default)]
    pub manifest: Option<LocationSpec>,
    /// The list that is compared with. Default: none.
    #[serde(default)]
    pub check: Option<LocationSpec>,
    /// Files in hand at once, 1 to 256. Default: chosen.
    #[serde(default)]
    pub parallel_files: Option<u64>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "checksum",
    about: "Digest files and trees, write or check a manifest",
    schema: || schemars::schema_for!(ChecksumParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: ChecksumParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let limits = params.limits.clone();
    let work = Checksum::new(params).map_err(|error| wire::fault(&error))?;
    Ok(Prepared { limits, work: Box::new(work) })
}

struct Checksum {
    sources: Vec<Location>,
    algorithms: Vec<Algorithm>,
    selection: Selection,
    manifest: Option<Vec<u8>>,
    check: Option<Vec<u8>>,
    parallel_files: usize,
}

impl Checksum {
    fn new(params: ChecksumParams) -> Result<Self> {
        let invalid = |field: &str, message: &str| {
            Err(EngineError::new(Kind::InvalidField, message.to_owned()).field(field))
        };
        let sources = params.src.0.iter().map(|spec| wire::location(spec, "src"));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        if sources.is_empty() {
            return invalid("src", "the list is empty");
        }
        let mut remote = false;
        for source in &sources {
            let scheme = endpoint::scheme(source).map_err(|error| error.field("src"))?;
            remote |= scheme.caps.remote;
        }
        if params.check.is_some() && (params.algorithm.is_some() || params.manifest.is_some()) {
            return invalid("check", "the list says which digests: give no algorithm or manifest");
        }
        if params.check.is_some() && sources.len() != 1 {
            return invalid("check", "compare with one source at a time");
        }
        let asked = params.algorithm.map(|list| list.0);
        let mut algorithms: Vec<_> = asked
            .unwrap_or(vec![words::Algorithm::Sha256])
            .into_iter()
            .map(wire::algorithm)
            .collect();
        if algorithms.is_empty() {
            return invalid("algorithm", "the list is empty");
        }
        algorithms.dedup();
        let manifest =
            params.manifest.map(|spec| wire::local_path(&spec, "manifest")).transpose()?;
        if let Some(path) = &manifest
            && Form::of(path) == Form::Sums
        {
            if algorithms.len() != 1 {
                return invalid("manifest", "that form holds one algorithm; .jsonl holds several");
            }
            if algorithms == [Algorithm::Blake3] {
                return invalid("manifest", "that form cannot tell blake3 from sha256; use .jsonl");
            }
        }
        let parallel = params
            .parallel_files
            .map(|files| fields::in_range("parallel_files", files, 1, PARALLEL_FILES_MAX as u64));
        Ok(Self {
            sources,
            algorithms,
            selection: Selection::new(&params.include, &params.exclude)?,
            manifest,
            check: params.check.map(|spec| wire::local_path(&spec, "check")).transpose()?,
            parallel_files: parallel
                .transpose()?
                .map_or_else(|| fields::default_parallel_files(remote), |files| files as usize),
        })
    }

    fn digest_all(&self, job: &Job) -> Result<Answer> {
        if let Some(path) = &self.manifest {
            self.sources.iter().try_for_each(|source| refuse_as_manifest(path, source))?;
        }
        let roots: Vec<Root> = self.manifest.iter().map(|path| list_root(path)).collect();
        let attempt = self.manifest.is_some().then(|| job.begin_attempt(&roots)).transpose()?;
        let listing = Listing::default();
        let listed = with_manifest(job, self.manifest.as_deref(), |writer| {
            self.each_source(job, writer, &listing)
        });
        if let Some(attempt) = attempt.flatten() {
            attempt.end();
        }
        let ((), manifest) = listed?;
        let (digests, total) = listing.finish();
        let mut data = json!({ "digests": digests, "digests_total": total });
        if let Some(path) = manifest {
            data["manifest"] = json!(BytePath::new(&path));
        }
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn each_source(
        &self,
        job: &Job,
        writer: Option<&ManifestWriter>,
        listing: &Listing,
    ) -> Result<()> {
        let alone = self.sources.len() == 1;
        for location in &self.sources {
            let shown = location.shown();
            let opened = endpoint::open_source(location, &job.ties)
                .and_then(|source| Ok((source.find(&ItemPath::root())?, source)));
            let (root, source) = match opened {
                Ok(both) => both,
                Err(error) => {
                    add(&job.progress.items_total, 1);
                    job.fail(&shown, error);
                    continue;
                }
            };
            let is_directory = root.is_none_or(|root| root.kind == ItemKind::Directory);
            let prefix = if alone && is_directory { Vec::new() } else { shown };
            let digester = Digester {
                job,
                source: &*source,
                algorithms: &self.algorithms,
                prefix,
                writer,
                listing,
                expected: None,
            };
            let links = if is_directory { LinkPolicy::Preserve } else { LinkPolicy::Follow };
            let selection = &self.selection;
            feed(job, &*source, selection, links, self.parallel_files, &digester)?;
        }
        Ok(())
    }

    fn compare(&self, job: &Job, list: &[u8]) -> Result<Answer> {
        let Some(location) = self.sources.first() else {
            return Err(EngineError::new(Kind::Internal, "no source"));
        };
        let source = endpoint::open_source(location, &job.ties)?;
        let expected = Waiting::default();
        let listed =
            Listed { source: &*source, list, selection: &self.selection, expected: &expected };
        let digester = Digester {
            job,
            source: &*source,
            algorithms: &[],
            prefix: Vec::new(),
            writer: None,
            listing: &Listing::default(),
            expected: Some(&expected),
        };
        let all = Selection::default();
        feed(job, &listed, &all, LinkPolicy::Preserve, self.parallel_files, &digester)?;
        let counts = expected.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let data = json!({ "check": {
            "matched": counts.matched, "mismatched": counts.mismatched, "missing": counts.missing,
        }});
        let verify = Verified {
            level: "compare".to_owned(),
            algorithm: counts.algorithm.map(|algorithm| algorithm.name().to_owned()),
            items: counts.matched,
            bytes: job.progress.bytes_ok.load(std::sync::atomic::Ordering::Relaxed),
            mismatches: counts.mismatched + counts.missing,
        };
        Ok(Answer { data: Some(data), verify: Some(verify), strict: true, advice: Vec::new() })
    }
}

impl Work for Checksum {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("checksum");
        match &self.check {
            Some(list) => self.compare(job, list),
            None => self.digest_all(job),
        }
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        survey_totals(job, "checksum", ("read", ONLY_READS), &self.sources, &self.selection)
    }
}

/// The first digests by name, and how many there are.
#[derive(Default)]
struct Listing(Mutex<(BTreeMap<Vec<u8>, Value>, u64)>);

impl Listing {
    fn add(&self, name: &[u8], bytes: u64, digests: &[Digest]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.1 += 1;
        let first = &mut all.0;
        let is_late = first.last_key_value().is_some_and(|(last, _)| name > last.as_slice());
        if first.len() >= SAMPLE_MAX && is_late {
            return;
        }
        let mut entry = json!(BytePath::new(name));
        entry["bytes"] = bytes.into();
        entry["digests"] =
            digests.iter().map(|d| (d.algorithm.name().to_owned(), d.hex.clone())).collect();
        first.insert(name.to_vec(), entry);
        if first.len() > SAMPLE_MAX {
            first.pop_last();
        }
    }

    fn finish(self) -> (Vec<Value>, u64) {
        let (first, total) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        (wire::sample(first.into_values()), total)
    }
}

/// Entries of a list between the thread that reads it and the workers that compare.
#[derive(Default)]
struct Waiting {
    entries: Mutex<HashMap<Vec<u8>, Expected>>,
    counts: Mutex<Counts>,
}

#[derive(Clone, Default)]
struct Counts {
    matched: u64,
    mismatched: u64,
    missing: u64,
    algorithm: Option<Algorithm>,
}

impl Waiting {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A source that consists of what a list names.
struct Listed<'a> {
    source: &'a dyn ObjectSource,
    list: &'a [u8],
    selection: &'a Selection,
    expected: &'a Waiting,
}

impl Listed<'_> {
    fn entry(&self, entry: Expected, visitor: &mut dyn Visitor) -> Result<()> {
        let path = match ItemPath::parse(entry.name.strip_prefix(b"./").unwrap_or(&entry.name)) {
            Ok(path) => path,
            Err(error) => return visitor.failed(&ItemPath::root(), error),
        };
        if !self.selection.takes(&path) {
            return Ok(());
        }
        match self.source.find(&path) {
            Ok(Some(item)) => {
                let key = path.as_bytes().to_vec();
                let mut entries =
                    self.expected.entries.lock().unwrap_or_else(PoisonError::into_inner);
                if entries.insert(key, entry).is_some() {
                    let message = "the manifest names the item twice";
                    return Err(
                        EngineError::new(Kind::ManifestInvalid, message).at(path.as_bytes())
                    );
                }
                drop(entries);
                visitor.item(item)
            }
            Ok(None) => {
                self.expected.count(|counts| counts.missing += 1);
                let message = "the manifest names it, and it does not exist";
                visitor.failed(&path, EngineError::new(Kind::SourceNotFound, message))
            }
            Err(error) => visitor.failed(&path, error),
        }
    }
}

impl ObjectSource for Listed<'_> {
    fn caps(&self) -> Caps {
        self.source.caps()
    }

    fn survey(&self, _: &Selection, _: LinkPolicy, visitor: &mut dyn Visitor) -> Result<()> {
        let Some(root) =
            self.source.find(&ItemPath::root())?.filter(|r| r.kind == ItemKind::Directory)
        else {
            let message = "a manifest is compared with a directory";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field("src")
                .hint("give the directory that the manifest's names begin in"));
        };
        visitor.enter(root)?;
        manifest::read(self.list, |entry| self.entry(entry, visitor))?;
        visitor.leave()
    }

    fn find(&self, path: &ItemPath) -> Result<Option<Item>> {
        self.source.find(path)
    }

    fn open(&self, item: &Item) -> Result<Box<dyn Reader>> {
        self.source.open(item)
    }
}

struct Digester<'a> {
    job: &'a Job,
    source: &'a dyn ObjectSource,
    algorithms: &'a [Algorithm],
    /// What names begin with: the source as it was given, or nothing.
    prefix: Vec<u8>,
    writer: Option<&'a ManifestWriter>,
    listing: &'a Listing,
    expected: Option<&'a Waiting>,
}

impl Handler for Digester<'_> {
    type Scope = ();
    type Hand = ChunkBuffer;

    fn hand(&self) -> Result<ChunkBuffer> {
        ChunkBuffer::new(self.job, CHUNK_BYTES)
    }

    fn enter(&self, _above: Option<&()>, _directory: &Item) -> Result<()> {
        Ok(())
    }

    fn alone(&self, _item: &Item) -> Result<()> {
        Ok(())
    }

    fn take(&self, buffer: &mut ChunkBuffer, item: Item, ticket: Ticket<()>) -> Result<()> {
        self.job.take_op()?;
        let name = self.name(&item);
        let outcome = match self.expected {
            Some(expected) => self.check(buffer, &item, &name, expected),
            None => self.digest(buffer, &item, &name),
        };
        ticket.end(self);
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if ends_job(error.kind()) => Err(error),
            Err(error) => {
                self.job.fail(&name, error);
                Ok(())
            }
        }
    }

    fn leave(&self, _directory: &Item, _scope: &()) {}
}

impl Digester<'_> {
    fn name(&self, item: &Item) -> Vec<u8> {
        let path = item.path.as_bytes();
        match (self.prefix.is_empty(), path.is_empty()) {
            (true, _) => path.to_vec(),
            (false, true) => self.prefix.clone(),
            (false, false) => {
                let prefix = self.prefix.strip_suffix(b"/").unwrap_or(&self.prefix);
                [prefix, b"/", path].concat()
            }
        }
    }

    fn digest(&self, buffer: &mut ChunkBuffer, item: &Item, name: &[u8]) -> Result<()> {
        let is_manifest = self.writer.is_some_and(|writer| writer.is(item));
        if item.kind == ItemKind::Symlink || is_manifest {
            self.job.skip(name, 0);
            return Ok(());
        }
        let content = self.content(buffer, item, self.algorithms)?;
        if let Some(writer) = self.writer {
            let digests = content.digests.clone();
            let done = manifest::Listed { bytes: content.bytes, digests, ..Default::default() };
            writer.add_named(self.job, item, name, &done)?;
        }
        self.listing.add(name, content.bytes, &content.digests);
        self.job.done(name, content.bytes, &content.digests);
        Ok(())
    }

    fn check(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        name: &[u8],
        expected: &Waiting,
    ) -> Result<()> {
        let taken = {
            let mut entries = expected.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.remove(item.path.as_bytes())
        };
        let entry = taken.ok_or_else(|| EngineError::new(Kind::Internal, "no entry waits"))?;
        let differs = |what: &str| {
            expected.count(|counts| counts.mismatched += 1);
            Err(EngineError::new(Kind::VerifyMismatch, format!("the {what} is not the listed one")))
        };
        if item.kind != entry.kind {
            return differs("kind");
        }
        if item.link != entry.link {
            return differs("link's text");
        }
        let mut bytes = 0;
        if entry.kind == ItemKind::File {
            if entry.digests.is_empty() {
                let message = "the manifest has no digest of it";
                return Err(EngineError::new(Kind::ManifestInvalid, message));
            }
            let algorithms: Vec<_> = entry.digests.iter().map(|digest| digest.algorithm).collect();
            let content = self.content(buffer, item, &algorithms)?;
            if entry.bytes.is_some_and(|bytes| bytes != content.bytes) {
                return differs("size");
            }
            if content.digests != entry.digests {
                return differs("digest");
            }
            bytes = content.bytes;
            expected.count(|counts| counts.algorithm = algorithms.first().copied());
        }
        expected.count(|counts| counts.matched += 1);
        self.job.done(name, bytes, &entry.digests);
        Ok(())
    }

    fn content(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        algorithms: &[Algorithm],
    ) -> Result<Content> {
        if item.kind != ItemKind::File {
            let message = "a fifo, socket or device is not read";
            return Err(EngineError::new(Kind::SourceSpecial, message));
        }
        for _ in 0..CHANGED_ATTEMPTS {
            let open = || self.source.open(item);
            let reader = self.job.progress.timed(Spent::SourceRead, open)?;
            let path = item.path.as_bytes();
            let how = Reading { path, algorithms, holes: false };
            let content = match algorithms {
                [algorithm] if is_large(reader.facts().0) => {
                    Large {
                        stored: None,
                        remote: self.source.caps().remote,
                        job: self.job,
                        reader: &*reader,
                        intake: None,
                        path,
                        algorithm: Some(*algorithm),
                        pieces: false,
                        holes: false,
                        threads: fields::default_parallel_chunks(self.source.caps().remote),
                        chunk_bytes: CHUNK_BYTES,
                        receipts: None,
                    }
                    .run(buffer)?
                    .content
                }
                _ => content::read(self.job, &*reader, buffer, how, |_, _| Ok(()))?,
            };
            if content.whole {
                return Ok(content);
            }
            add(&self.job.progress.bytes_redone, content.bytes);
            add(&self.job.progress.retries, 1);
        }
        Err(EngineError::new(Kind::SourceChanged, "the source kept changing while it was read"))
    }
}
