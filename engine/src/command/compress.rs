//! `compress`: a file to a compressed one, or a tree to an archive, published whole.

use std::sync::atomic::Ordering;

use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{BytePath, LimitSpec, LocationSpec, OnExists, object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::codec::Packing;
use crate::command::forecast::survey_totals;
use crate::command::forms::Format;
use crate::command::lost::lost;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::ObjectSource;
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::choice::Carry;
use crate::model::item::{Attributes, Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::archive::Archiver;
use crate::pipeline::leftovers::folder_root;
use crate::pipeline::pack::Packer;
use crate::pipeline::single::{Ended, Made, Single};
use crate::progress::add;
use crate::wire;

/// How far a compressed file is checked before it gets its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Not at all.
    #[default]
    None,
    /// What was written is decoded, and compared with what was read.
    Decode,
}

/// The fields of `compress`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressParams {
    /// The file or directory that is compressed.
    pub src: LocationSpec,
    /// The compressed file or archive.
    pub dst: LocationSpec,
    /// Its form. Default: by the ending of dst; else gzip for a file, tar_zstd for a directory.
    #[serde(default)]
    pub format: Option<Format>,
    /// Fast to small: gzip 1 to 9, zstd 1 to 19, lz4 1, brotli 0 to 11. Default: 6, 3, 1, 5.
    #[serde(default)]
    pub level: Option<u64>,
    /// Threads, 1 to 64. Default: one for each core.
    #[serde(default)]
    pub threads: Option<u64>,
    /// What happens to what stands there. Default: fail.
    #[serde(default)]
    pub on_exists: OnExists,
    /// Whether what was written is decoded and compared before it gets its name. Default: none.
    #[serde(default)]
    pub verify: Check,
    /// Globs of what goes into an archive. Default: everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of what is left out of an archive. Default: nothing.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

const ARCHIVE: &str = "a tree becomes one file: what it holds fills blocks in the order of the \
     walk, and blocks are compressed several at once";
const BLOCKS: &str = "each block is compressed by itself, several at once";
const STREAM: &str = "this form is one stream, which one thread writes";

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "compress",
    about: "Compress a file, or make an archive of a directory",
    schema: || schemars::schema_for!(CompressParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: CompressParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let limits = params.limits.clone();
    let work = Compress::new(&params).map_err(|error| wire::fault(&error))?;
    Ok(Prepared { limits, work: Box::new(work) })
}

struct Compress {
    src: Location,
    dst: Location,
    /// As given, or told by the ending of `dst`.
    format: Option<Format>,
    level: Option<u64>,
    threads: usize,
    on_exists: OnExists,
    check: bool,
    selection: Selection,
}

/// What is told of a file that was made.
struct Told {
    method: &'static str,
    original: u64,
    stored: u64,
    digests: Value,
}

impl Compress {
    fn new(params: &CompressParams) -> Result<Self> {
        let src = wire::location(&params.src, "src")?;
        let dst = wire::location(&params.dst, "dst")?;
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        endpoint::scheme(&dst).map_err(|error| error.field("dst"))?;
        let format = params.format.or_else(|| Format::of_name(dst.name()));
        format.map(|format| format.level(params.level)).transpose()?;
        Ok(Self {
            src,
            dst,
            format,
            level: params.level,
            threads: fields::threads(params.threads)?,
            on_exists: params.on_exists,
            check: params.verify == Check::Decode,
            selection: Selection::new(&params.include, &params.exclude)?,
        })
    }

    /// The form for a source of this kind.
    fn format_for(&self, kind: ItemKind) -> Result<Format> {
        let format = match (self.format, kind) {
            (None, ItemKind::Directory) => Format::TarZstd,
            (None, _) => Format::Gzip,
            (Some(format), ItemKind::Directory) => format.archive().ok_or_else(|| {
                let message = format!("{} holds one file, and src is a directory", format.name());
                EngineError::new(Kind::InvalidField, message)
                    .field("format")
                    .hint("archives: tar, tar_gzip, tar_zstd")
            })?,
            (Some(format), _) => format,
        };
        if !format.is_archive() && !self.selection.is_all() {
            let message = "include and exclude choose members of an archive";
            return Err(EngineError::new(Kind::InvalidField, message).field("include"));
        }
        Ok(format)
    }

    fn file(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        item: &Item,
        format: Format,
    ) -> Result<Ended<Told>> {
        let sink = endpoint::open_sink(&self.dst, &job.ties)?;
        let codec = format.codec().ok_or_else(|| {
            EngineError::new(Kind::Internal, "a file has no form that is compressed")
        })?;
        let level = format.level(self.level)?;
        let packer = Packer { codec, level, threads: self.threads, check: self.check };
        let single = Single {
            job,
            item,
            sink: &*sink,
            shown: self.dst.shown(),
            on_exists: wire::on_exists(self.on_exists),
            carry: Carry::PLAIN,
        };
        single.run(|intake| {
            let reader = source.open(item)?;
            let (_, mut attributes) = reader.facts();
            attributes.mode = reader.extended(Carry::PLAIN)?.mode(attributes.mode);
            let outcome = packer.pack(job, &*reader, intake)?;
            if !outcome.whole {
                add(&job.progress.bytes_redone, outcome.packed.plain);
                return Ok(None);
            }
            let digest = outcome.crc.digest();
            let told = Told {
                method: if outcome.packed.is_raw() { "stored" } else { "compressed" },
                original: outcome.packed.plain,
                stored: outcome.packed.stored,
                digests: json!({ digest.algorithm.name(): digest.hex }),
            };
            Ok(Some(Made { bytes: outcome.packed.stored, whole: true, attributes, told }))
        })
    }

    fn archive(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        item: &Item,
        format: Format,
    ) -> Result<Ended<Told>> {
        let sink = endpoint::open_sink(&self.dst, &job.ties)?;
        let archiver = Archiver {
            codec: format.codec(),
            level: format.level(self.level)?,
            threads: self.threads,
            check: self.check,
            selection: &self.selection,
            name: self.src.name(),
        };
        let single = Single {
            job,
            item,
            sink: &*sink,
            shown: self.dst.shown(),
            on_exists: wire::on_exists(self.on_exists),
            carry: Carry::default(),
        };
        single.run(|intake| {
            let outcome = archiver.pack(job, source, intake)?;
            job.progress.surveyed.store(true, Ordering::Release);
            let told = Told {
                method: "compressed",
                original: outcome.original,
                stored: outcome.stored,
                digests: Value::Null,
            };
            Ok(Some(Made {
                bytes: outcome.stored,
                whole: job.progress.items_failed.load(Ordering::Relaxed) == 0,
                attributes: Attributes::default(),
                told,
            }))
        })
    }

    /// The answer about an archive; its items counted themselves.
    fn archived(&self, job: &Job, format: Format, ended: Ended<Told>) -> Value {
        let mut data = json!({ "dst": BytePath::new(&self.dst.shown()), "format": format.name() });
        match ended {
            Ended::Skipped => {
                add(&job.progress.items_total, 1);
                job.skip(b"", 0);
            }
            Ended::Before(stored) => data["stored_bytes"] = stored.into(),
            Ended::Now(told) => {
                data["method"] = if format == Format::Tar { "stored" } else { told.method }.into();
                data["original_bytes"] = told.original.into();
                data["stored_bytes"] = told.stored.into();
                data["ratio"] = ratio(told.original, told.stored).into();
                data["items"] = job.progress.items_ok.load(Ordering::Relaxed).into();
            }
        }
        if let Some(lost) = lost(job) {
            data["lost"] = lost;
        }
        data
    }

    fn answer(&self, job: &Job, item: &Item, format: Format, ended: Ended<Told>) -> Value {
        let mut data = json!({ "dst": BytePath::new(&self.dst.shown()), "format": format.name() });
        let (original, stored) = match ended {
            Ended::Skipped => {
                job.skip(b"", item.size);
                return data;
            }
            Ended::Before(stored) => (item.size, stored),
            Ended::Now(told) => {
                data["method"] = told.method.into();
                data["digests"] = told.digests;
                (told.original, told.stored)
            }
        };
        job.done(b"", original, &[]);
        data["original_bytes"] = original.into();
        data["stored_bytes"] = stored.into();
        data["ratio"] = ratio(original, stored).into();
        data
    }

    fn source(&self, job: &Job) -> Result<(Box<dyn ObjectSource>, Item)> {
        let source = endpoint::open_source(&self.src, &job.ties)?;
        let kinds = [ItemKind::File, ItemKind::Directory];
        let item = source.find(&ItemPath::root())?.filter(|item| kinds.contains(&item.kind));
        let item = item.ok_or_else(|| {
            let message = "the source is no regular file and no directory";
            EngineError::new(Kind::Unsupported, message).at(self.src.shown())
        })?;
        Ok((source, item))
    }
}

impl Work for Compress {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("compress");
        job.set_subject(self.src.name());
        let (source, item) = self.source(job)?;
        let format = self.format_for(item.kind)?;
        format.level(self.level)?;
        if endpoint::overlap(&self.src, &self.dst)? {
            let message = "source and destination are the same, or one lies inside the other";
            return Err(EngineError::new(Kind::Overlap, message).at(self.dst.shown()));
        }
        let attempt = job.begin_attempt(&[folder_root(&self.dst)])?;
        let ended = if format.is_archive() {
            self.archive(job, &*source, &item, format)
        } else {
            add(&job.progress.items_total, 1);
            add(&job.progress.bytes_total, item.size);
            job.progress.surveyed.store(true, Ordering::Release);
            self.file(job, &*source, &item, format)
        };
        job.end_attempt(attempt);
        let data = if format.is_archive() {
            self.archived(job, format, ended?)
        } else {
            self.answer(job, &item, format, ended?)
        };
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        let (_, item) = self.source(job)?;
        let format = self.format_for(item.kind)?;
        let way = match format.codec().map(|codec| &codec.packing) {
            _ if format.is_archive() => ("archive", ARCHIVE),
            Some(Packing::Members { .. }) => ("chunked", BLOCKS),
            _ => ("direct", STREAM),
        };
        survey_totals(job, "compress", way, &[self.src], &self.selection)
    }
}

/// Stored over original; 0 for nothing.
fn ratio(original: u64, stored: u64) -> f64 {
    if original == 0 { 0.0 } else { stored as f64 / original as f64 }
}
