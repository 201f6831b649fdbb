//! `copy`: files and trees from one place to another.

use std::sync::atomic::Ordering::Relaxed;

use migration_protocol::event::Verified;
use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{
    BytePath, Checksum, Compare, Durability, LimitSpec, LocationSpec, Lock, MaxDelete, Millis,
    OnExists, Preserve, Size, Symlinks, VerifyLevel, object,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::command::forecast::CopyPlan;
use crate::command::forms::PackSpec;
use crate::command::locking::Locking;
use crate::command::lost::lost;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields, mirror};
use crate::endpoint;
use crate::endpoint::contract::{ObjectSink, ObjectSource};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{CHUNK_BYTES, CHUNK_BYTES_RANGE, PARALLEL_CHUNKS_MAX, PARALLEL_FILES_MAX};
use crate::model::choice::{self, Durable, Links};
use crate::model::item::ItemKind;
use crate::model::leftover::Root;
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::copy::{Beside, CopyOptions, Tally, copy};
use crate::pipeline::delete::Deletion;
use crate::pipeline::leftovers::{folder_root, list_root, tree_root};
use crate::pipeline::manifest::{Form, with_manifest};
use crate::pipeline::recode::Recode;
use crate::plan::extra::Cap;
use crate::plan::method::Method;
use crate::progress::Spent;
use crate::wire;

/// The fields of `copy`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyParams {
    /// What is copied.
    pub src: LocationSpec,
    /// The copy itself, or with a slash at its end the directory it goes into.
    pub dst: LocationSpec,
    /// Globs of what is taken. Default: everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of what is left out. Default: nothing.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What happens to what stands there. Default: fail.
    #[serde(default)]
    pub on_exists: OnExists,
    /// How on_exists update tells that two files are the same. Default: time.
    #[serde(default)]
    pub compare: Compare,
    /// The digest taken in the same pass. Default: crc64nvme.
    #[serde(default)]
    pub checksum: Checksum,
    /// How far the copy is verified. Default: stream.
    #[serde(default)]
    pub verify: VerifyLevel,
    /// What beyond content is carried over. Default: mode, times, holes, hard_links, xattrs and
    /// acls.
    #[serde(default = "preserve_default")]
    pub preserve: Vec<Preserve>,
    /// What is done with symbolic links. Default: preserve.
    #[serde(default)]
    pub symlinks: Symlinks,
    /// What the copy survives. Default: power_loss.
    #[serde(default)]
    pub durability: Durability,
    /// A JSON Lines file that lists what was copied. Default: none.
    #[serde(default)]
    pub manifest: Option<LocationSpec>,
    /// Bytes read at once, 64 KiB to 64 MiB. Default: 1 MiB.
    #[serde(default)]
    pub chunk_bytes: Option<Size>,
    /// Files in hand at once, 1 to 256. Default: chosen.
    #[serde(default)]
    pub parallel_files: Option<u64>,
    /// Parts of one large file in hand at once at most, 1 to 64. Default: two for each core, 4 to
    /// 16.
    #[serde(default)]
    pub parallel_chunks: Option<u64>,
    /// Whether the lease on the destination directory is held. Default: none.
    #[serde(default)]
    pub lock: Option<Lock>,
    /// How long a held lease is waited for, with lock wait. Default: 10m.
    #[serde(default)]
    pub lock_timeout: Option<Millis>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
    /// Only plan. Default: false.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether names that the source does not have are removed from the destination, once all is
    /// copied. Default: false.
    #[serde(default)]
    pub delete: bool,
    /// The most that `delete` removes. Default: 50 percent.
    #[serde(default, deserialize_with = "some_object")]
    pub max_delete: Option<MaxDelete>,
    /// Compresses each file on its way; its name gets the form's ending. Default: none.
    #[serde(default)]
    pub compress: Option<PackSpec>,
    /// Decompresses files on their way whose names end like a form; they lose the ending.
    /// Default: false.
    #[serde(default)]
    pub decompress: bool,
}

fn preserve_default() -> Vec<Preserve> {
    use Preserve::{Acls, HardLinks, Holes, Mode, Times, Xattrs};
    vec![Mode, Times, Holes, HardLinks, Xattrs, Acls]
}

fn some_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MaxDelete>, D::Error> {
    object(deserializer).map(Some)
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "copy",
    about: "Copy files and trees, verified in the same pass",
    schema: || schemars::schema_for!(CopyParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: CopyParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let limits = params.limits.clone();
    let work = Copy::new(params).map_err(|error| wire::fault(&error))?;
    Ok(Prepared { limits, work: Box::new(work) })
}

/// A copy, ready to run.
#[derive(Debug)]
struct Copy {
    level: VerifyLevel,
    src: Location,
    dst: Location,
    manifest: Option<Vec<u8>>,
    options: CopyOptions,
    /// The most that is removed; `None` where nothing is.
    delete: Option<Cap>,
    lock: Locking,
    dry_run: bool,
}

impl Copy {
    fn new(params: CopyParams) -> Result<Self> {
        let src = wire::location(&params.src, "src")?;
        let mut dst = wire::location(&params.dst, "dst")?;
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        endpoint::written(&dst).map_err(|error| error.field("dst"))?;
        if dst.is_into() {
            if src.name().is_empty() {
                let message = "the source has no name of its own to go by under dst";
                return Err(EngineError::new(Kind::InvalidField, message)
                    .field("dst")
                    .hint("leave out the slash at the end of dst, or name the source"));
            }
            dst = dst.child(src.name());
        }
        let recode = recode(&params)?;
        let manifest =
            params.manifest.map(|spec| wire::local_path(&spec, "manifest")).transpose()?;
        if manifest.as_deref().is_some_and(|path| Form::of(path) != Form::Lines) {
            let message = "the manifest of a copy is JSON Lines";
            return Err(EngineError::new(Kind::InvalidField, message)
                .field("manifest")
                .hint("let its name end in .jsonl"));
        }
        let chunk = params.chunk_bytes.map_or(CHUNK_BYTES, |size| size.0);
        let (least, most) = CHUNK_BYTES_RANGE;
        let parallel = params
            .parallel_files
            .map(|files| fields::in_range("parallel_files", files, 1, PARALLEL_FILES_MAX as u64));
        let read_back = params.verify == VerifyLevel::Readback;
        let algorithm = params.checksum.algorithm().map(wire::algorithm);
        if read_back && algorithm.is_none() {
            let message = "verify readback compares digests, and checksum is none";
            return Err(EngineError::new(Kind::InvalidField, message).field("checksum"));
        }
        let sides = [endpoint::scheme(&src)?.caps, endpoint::scheme(&dst)?.caps];
        let remote = sides.iter().any(|side| side.remote);
        if read_back && recode.is_some() && !sides.iter().all(|side| side.reads_back) {
            let message = "what is recoded on its way to a store cannot be read back yet";
            return Err(EngineError::new(Kind::Unsupported, message).field("verify"));
        }
        let options = CopyOptions {
            selection: Selection::new(&params.include, &params.exclude)?,
            on_exists: wire::on_exists(params.on_exists),
            compare: wire::compare(params.compare),
            algorithm,
            read_back,
            carry: wire::carry(&params.preserve),
            links: wire::links(params.symlinks),
            durable: wire::durable(params.durability),
            chunk_bytes: fields::in_range("chunk_bytes", chunk, least, most)?,
            parallel_files: parallel
                .transpose()?
                .map_or_else(|| fields::default_parallel_files(remote), |files| files as usize),
            parallel_chunks: match params.parallel_chunks {
                None => fields::default_parallel_chunks(remote),
                Some(parts) => {
                    let most = PARALLEL_CHUNKS_MAX as u64;
                    fields::in_range("parallel_chunks", parts, 1, most)? as usize
                }
            },
            pieces: manifest.is_some(),
            recode,
        };
        let delete = mirror::cap(params.delete, params.max_delete)?;
        let implied = if params.delete { Lock::Fail } else { Lock::None };
        let lock = Locking::new(params.lock, params.lock_timeout, implied)?;
        let (level, dry_run) = (params.verify, params.dry_run);
        Ok(Self { level, src, dst, manifest, options, delete, lock, dry_run })
    }

    fn verified(&self, job: &Job) -> Verified {
        let level = match (self.level, self.options.algorithm) {
            (VerifyLevel::None, _) | (_, None) => "size",
            (VerifyLevel::Stream, Some(_)) => "stream",
            (VerifyLevel::Readback, Some(_)) => "readback",
        };
        Verified {
            level: level.to_owned(),
            algorithm: self.options.algorithm.map(|a| a.name().to_owned()),
            items: job.progress.items_ok.load(Relaxed),
            bytes: job.progress.bytes_ok.load(Relaxed),
            mismatches: 0,
        }
    }

    /// Where temporary files may stand.
    fn roots(&self, kind: ItemKind) -> Vec<Root> {
        let own = match kind {
            ItemKind::Directory => tree_root(&self.dst),
            _ => folder_root(&self.dst),
        };
        let list = self.manifest.as_deref().map(list_root);
        std::iter::once(own).chain(list).collect()
    }

    /// A manifest in the source or in the copy would replace, or be taken for, one of its items.
    fn refuse_manifest_inside(&self) -> Result<()> {
        let Some(path) = &self.manifest else {
            return Ok(());
        };
        let manifest = Location::file(path);
        for side in [&self.src, &self.dst] {
            if endpoint::overlap(side, &manifest)? {
                let message = "the manifest lies in the source or in the copy";
                return Err(EngineError::new(Kind::Overlap, message)
                    .field("manifest")
                    .hint("name a file outside of both"));
            }
        }
        Ok(())
    }

    fn transfer(&self, job: &Job) -> Result<Moved> {
        job.set_subject(self.src.name());
        let source = endpoint::open_source(&self.src, &job.ties)?;
        let root = source.find(&ItemPath::root())?;
        if let (Some(ledger), Some(root)) = (job.ledger(), &root)
            && root.kind == ItemKind::Directory
        {
            ledger.hold_to("source", root.identity.ino, root.identity.born)?;
        }
        let (kind, size) = root.map_or((ItemKind::Directory, 0), |root| (root.kind, root.size));
        // Who may not list is not told.
        if kind == ItemKind::File && source.hides_others().unwrap_or(false) {
            let message = "only the object of this key is copied, not those beneath it";
            let warning = EngineError::new(Kind::InvalidField, message).field("src");
            job.warn(&warning.at(self.src.shown()));
        }
        if endpoint::overlap(&self.src, &self.dst)? {
            let message = "source and destination are the same or lie inside each other";
            return Err(EngineError::new(Kind::Overlap, message).at(self.dst.shown()));
        }
        self.refuse_manifest_inside()?;
        let attempt = job.begin_attempt(&self.roots(kind))?;
        let moved = endpoint::open_sink(&self.dst, &job.ties).and_then(|sink| {
            let lease = self.lock.take(job, &*sink, kind)?;
            let (tally, manifest) = with_manifest(job, self.manifest.as_deref(), |manifest| {
                let there = self.there(job, kind)?;
                let beside = Beside { lease: lease.as_ref(), there: there.as_deref() };
                copy(job, &*source, &*sink, &self.options, manifest, &beside)
            })?;
            let tree = self.delete.filter(|_| kind == ItemKind::Directory);
            let deletion = tree.map(|cap| self.deletion(job, &*source, &*sink, cap));
            let deleted = deletion.map(|d| Deletion { lease: lease.as_ref(), ..d }.run());
            let deleted = deleted.transpose()?.or(self.delete.map(|_| 0));
            if deleted > Some(0) && self.options.durable == Durable::PowerLoss {
                job.progress.timed(Spent::Sync, || sink.settle())?;
            }
            Ok(Moved { kind, size, tally, manifest, deleted })
        });
        job.end_attempt(attempt);
        moved
    }

    /// The destination to be read, where contents are compared, or listed as they stand, and
    /// something stands there.
    fn there(&self, job: &Job, kind: ItemKind) -> Result<Option<Box<dyn ObjectSource>>> {
        let compares = self.options.compare == choice::Compare::Content;
        let updates = self.options.on_exists == choice::OnExists::Update;
        let confirms = self.options.read_back && !endpoint::scheme(&self.dst)?.caps.reads_back;
        let reads = confirms || updates && (compares || self.manifest.is_some());
        // The slash leads through a link that the operator gave as the tree's destination.
        let tree = (kind == ItemKind::Directory).then(|| self.dst.child(b""));
        match reads.then(|| endpoint::open_source(tree.as_ref().unwrap_or(&self.dst), &job.ties)) {
            Some(Err(error)) if error.kind() == Kind::SourceNotFound => Ok(None),
            opened => opened.transpose(),
        }
    }

    fn deletion<'a>(
        &'a self,
        job: &'a Job,
        source: &'a dyn ObjectSource,
        sink: &'a dyn ObjectSink,
        cap: Cap,
    ) -> Deletion<'a> {
        use choice::OnExists::{Replace, Update};
        let replaces = matches!(self.options.on_exists, Update | Replace);
        Deletion {
            job,
            source,
            sink,
            selection: &self.options.selection,
            links: self.options.links.policy(),
            cap,
            dress: replaces.then_some(self.options.carry),
            lease: None,
            parallel: self.options.parallel_files,
        }
    }
}

/// What a copy came to.
struct Moved {
    kind: ItemKind,
    size: u64,
    tally: Tally,
    manifest: Option<Vec<u8>>,
    /// Names removed from the destination, where that was asked for.
    deleted: Option<u64>,
}

impl Work for Copy {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        if self.dry_run {
            let planned = self.plan(job)?;
            return Ok(Answer { data: Some(planned.data), ..Answer::default() });
        }
        let Moved { kind, size, tally, manifest, deleted } = self.transfer(job)?;
        let durability = match self.options.durable {
            Durable::PowerLoss => "power_loss",
            Durable::Crash => "crash",
        };
        let coded = self.options.recode.and_then(|recode| recode.way(self.src.name())).is_some();
        let parts = if coded { 1 } else { self.options.parallel_chunks };
        let method = Method::of(kind, size, parts);
        let mut data = json!({
            "dst": BytePath::new(&self.dst.shown()),
            "kind": kind.name(),
            "method": method.name(),
            "durability": durability,
        });
        if let Some(offload) = offload(&tally) {
            data["offload"] = offload;
        }
        if kind == ItemKind::File {
            data["digests"] = job.last_digests.take();
        }
        if let Some(lost) = lost(job) {
            data["lost"] = lost;
        }
        if let Some(path) = manifest {
            data["manifest"] = json!(BytePath::new(&path));
        }
        if let Some(deleted) = deleted {
            data["deleted"] = deleted.into();
        }
        let verify = Some(self.verified(job));
        Ok(Answer { data: Some(data), verify, strict: false, advice: advice(job, &self.options) })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        let plan = CopyPlan {
            src: &self.src,
            dst: &self.dst,
            selection: &self.options.selection,
            on_exists: self.options.on_exists,
            compare: self.options.compare,
            skip_links: self.options.links == Links::Skip,
            links: self.options.links.policy(),
            carry: self.options.carry,
            parallel_chunks: self.options.parallel_chunks,
            recode: self.options.recode,
            delete: self.delete,
        };
        plan.make(job)
    }
}

/// What happens to files on their way.
fn recode(params: &CopyParams) -> Result<Option<Recode>> {
    let recode = match params.compress {
        Some(_) if params.decompress => {
            let message = "files are either compressed or decompressed";
            return Err(EngineError::new(Kind::InvalidField, message).field("decompress"));
        }
        Some(spec) => spec.resolve().map(|(codec, level)| Recode::Pack(codec, level))?,
        None if params.decompress => Recode::Unpack,
        None => return Ok(None),
    };
    let beside = [("delete", params.delete), ("compare", params.compare == Compare::Digest)];
    match beside.into_iter().find(|(_, asked)| *asked) {
        None => Ok(Some(recode)),
        Some((field, _)) => {
            let message =
                "names and contents differ on both sides when files are recoded on their way";
            Err(EngineError::new(Kind::InvalidField, message).field(field))
        }
    }
}

/// How many files the storage took over, by way; `None` when there are none.
fn offload(tally: &Tally) -> Option<Value> {
    let ways = [
        ("reflink", &tally.shared),
        ("copy_file_range", &tally.offloaded),
        ("server_copy", &tally.served),
    ];
    let ways = ways.map(|(name, count)| (name.to_owned(), count.load(Relaxed)));
    let used: Map<String, Value> =
        ways.into_iter().filter(|(_, count)| *count > 0).map(|(n, c)| (n, c.into())).collect();
    (!used.is_empty()).then_some(Value::Object(used))
}

fn advice(job: &Job, options: &CopyOptions) -> Vec<String> {
    let all =
        [Spent::SourceRead, Spent::Hash, Spent::DestinationWrite, Spent::Sync, Spent::Throttle];
    let total: f64 = all.iter().map(|on| job.progress.spent(*on).as_secs_f64()).sum();
    let share = |on| job.progress.spent(on).as_secs_f64() / total.max(1e-9);
    let mut advice = Vec::new();
    if total < 1.0 {
        return advice;
    }
    if share(Spent::Sync) > 0.5 && options.durable == Durable::PowerLoss {
        advice.push(format!(
            "waiting for the device took {:.0} % of the workers' time; durability:\"crash\" skips \
             the syncs where a rerun is cheap",
            share(Spent::Sync) * 100.0
        ));
    }
    if share(Spent::Hash) > 0.4 {
        advice.push(format!(
            "the digest took {:.0} % of the workers' time; crc64nvme is the cheapest one",
            share(Spent::Hash) * 100.0
        ));
    }
    if share(Spent::Throttle) > 0.5 {
        advice.push("the limits held the job back for most of its time".to_owned());
    }
    advice
}
