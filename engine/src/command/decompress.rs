//! `decompress`: a compressed file to a plain one, or an archive to a tree.

use std::sync::atomic::Ordering;

use migration_protocol::fault::Fault;
use migration_protocol::vocabulary::{BytePath, LimitSpec, LocationSpec, OnExists, Size, object};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::archive::{ArchiveSource, Opening};
use crate::codec::{self, Caps, Decoder, Packing};
use crate::command::forecast::survey_totals;
use crate::command::forms::Format;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::{ObjectSource, Reader};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::{CHUNK_BYTES, FRAME_TABLE_BYTES, INDEX_CHUNK_BYTES_MAX, MAX_BYTES, MAX_RATIO};
use crate::model::choice::{Carry, Compare, Durable, Links};
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::pipeline::copy::{Beside, CopyOptions, copy};
use crate::pipeline::leftovers::{folder_root, tree_root};
use crate::pipeline::pack::fill;
use crate::pipeline::single::{Ended, Made, Single};
use crate::pipeline::unpack::{Unpacking, unpack};
use crate::progress::add;
use crate::resource::budget::Permit;
use crate::wire;

/// The fields of `decompress`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecompressParams {
    /// The compressed file or archive.
    pub src: LocationSpec,
    /// The plain file, or the directory that an archive's members go into.
    pub dst: LocationSpec,
    /// Its form. Default: by its first bytes, then by its name.
    #[serde(default)]
    pub format: Option<Format>,
    /// Globs of an archive's members. Default: everything.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs of members left out. Default: nothing.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What happens to what stands there. Default: fail.
    #[serde(default)]
    pub on_exists: OnExists,
    /// Threads, 1 to 64. Default: one for each core.
    #[serde(default)]
    pub threads: Option<u64>,
    /// Plain bytes at most. Default: 1 TiB.
    #[serde(default)]
    pub max_bytes: Option<Size>,
    /// Plain bytes for each stored one at most, once 1 MiB was decoded. Default: 1000.
    #[serde(default)]
    pub max_ratio: Option<u64>,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

const ARCHIVE: &str = "members are read where they lie, several at once, where the archive's frames \
     are told; else in its order";
const MEMBERS: &str = "members that are told apart are decoded several at once";
const STREAM: &str = "this form is one stream, which one thread reads";

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "decompress",
    about: "Decompress a file, or restore an archive",
    schema: || schemars::schema_for!(DecompressParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: DecompressParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    let limits = params.limits.clone();
    let work = Decompress::new(&params).map_err(|error| wire::fault(&error))?;
    Ok(Prepared { limits, work: Box::new(work) })
}

struct Decompress {
    src: Location,
    dst: Location,
    format: Option<Format>,
    threads: usize,
    on_exists: OnExists,
    selection: Selection,
    caps: Caps,
}

/// Stored bytes that are decoded to see whether they hold a tar.
const PEEK_BYTES: usize = 256 << 10;

/// What an archive is restored with.
struct Seats {
    threads: usize,
    /// Decoded frames that are kept.
    frames: usize,
    /// Memory that tables of frames may take.
    table_bytes: u64,
    /// Memory that a decoder of a form without frames may take.
    stream_bytes: u64,
}

/// What members take over: mode without its special bits, times, names of one file, fifos.
const CARRY: Carry = Carry { hard_links: true, specials: true, ..Carry::PLAIN };

/// What is told of a file that was made.
struct Told {
    original: u64,
    stored: u64,
    digests: Value,
}

impl Decompress {
    fn new(params: &DecompressParams) -> Result<Self> {
        let src = wire::location(&params.src, "src")?;
        let dst = wire::location(&params.dst, "dst")?;
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        endpoint::scheme(&dst).map_err(|error| error.field("dst"))?;
        let max_bytes = params.max_bytes.map_or(MAX_BYTES, |size| size.0);
        let max_ratio = params.max_ratio.unwrap_or(MAX_RATIO);
        fields::in_range("max_bytes", max_bytes, 1, u64::MAX)?;
        fields::in_range("max_ratio", max_ratio, 1, u64::MAX)?;
        Ok(Self {
            src,
            dst,
            format: params.format,
            threads: fields::threads(params.threads)?,
            on_exists: params.on_exists,
            selection: Selection::new(&params.include, &params.exclude)?,
            caps: Caps { max_bytes, max_ratio },
        })
    }

    fn source(&self, job: &Job) -> Result<(Box<dyn ObjectSource>, Item)> {
        let source = endpoint::open_source(&self.src, &job.ties)?;
        let item = source.find(&ItemPath::root())?.filter(|item| item.kind == ItemKind::File);
        let item = item.ok_or_else(|| {
            let message = "the source is no regular file";
            EngineError::new(Kind::Unsupported, message).at(self.src.shown())
        })?;
        Ok((source, item))
    }

    /// The form of this file: as asked, by its first bytes, by its name.
    fn detect(&self, reader: &dyn Reader) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let mut head = [0; 512];
        let count = fill(reader, 0, &mut head)?;
        let head = head.get(..count).unwrap_or_default();
        let named = Format::of_name(self.src.name());
        if let Some(codec) = codec::by_magic(head) {
            let plain = Format::of_codec(codec);
            let archive = plain.and_then(Format::archive);
            let holds = archive.is_some()
                && (named == archive || (named.is_none() && holds_tar(reader, codec)?));
            if let Some(format) = if holds { archive } else { plain } {
                return Ok(format);
            }
        }
        if is_tar(head) {
            return Ok(Format::Tar);
        }
        named.ok_or_else(|| {
            let message = "neither its first bytes nor its name tell how the file is compressed";
            EngineError::new(Kind::Unsupported, message)
                .at(self.src.shown())
                .hint("give its format")
        })
    }

    fn file(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        item: &Item,
        format: Format,
    ) -> Result<Ended<Told>> {
        if !self.selection.is_all() {
            let message = "include and exclude choose members of an archive";
            return Err(EngineError::new(Kind::InvalidField, message).field("include"));
        }
        let sink = endpoint::open_sink(&self.dst, &job.ties)?;
        let codec = format.codec().ok_or_else(|| {
            EngineError::new(Kind::Internal, "a file has no form that is compressed")
        })?;
        let how = Unpacking { codec, caps: self.caps, threads: self.threads };
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
            let outcome = match unpack(job, &*reader, &how, Some(intake)) {
                // Damage that is seen while the source changes may be none.
                Err(error) if error.kind() == Kind::SourceCorrupt && !reader.unchanged()? => {
                    return Ok(None);
                }
                other => other.map_err(|error| error.at(self.src.shown()))?,
            };
            if !outcome.whole {
                add(&job.progress.bytes_redone, outcome.stored);
                return Ok(None);
            }
            let digest = outcome.crc.digest();
            let told = Told {
                original: outcome.crc.bytes,
                stored: outcome.stored,
                digests: json!({ digest.algorithm.name(): digest.hex }),
            };
            Ok(Some(Made { bytes: outcome.crc.bytes, whole: true, attributes, told }))
        })
    }

    /// Restores an archive: a copy whose source is the archive.
    fn archive(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        item: &Item,
        format: Format,
    ) -> Result<Value> {
        let (seats, _memory) = self.seats(job, source, item, format)?;
        let opening = Opening {
            codec: format.codec(),
            caps: self.caps,
            frames_kept: seats.frames,
            table_bytes: seats.table_bytes,
            stream_bytes: seats.stream_bytes,
            pass: &|| job.pass(),
            disk: job.engine.state.as_ref(),
            open: &|| source.open(item),
        };
        let opened = ArchiveSource::open(&opening, item.identity);
        let archive = opened.map_err(|error| error.at(self.src.shown()))?;
        let threads = if archive.in_order() { 1 } else { seats.threads };
        let options = CopyOptions {
            selection: self.selection.clone(),
            on_exists: wire::on_exists(self.on_exists),
            compare: Compare::Time,
            algorithm: None,
            read_back: false,
            carry: CARRY,
            links: Links::Preserve,
            durable: Durable::PowerLoss,
            chunk_bytes: CHUNK_BYTES.min(job.engine.budget.total() / 8),
            parallel_files: threads,
            parallel_chunks: threads,
            pieces: false,
            recode: None,
        };
        let sink = endpoint::open_sink(&self.dst, &job.ties)?;
        copy(job, &archive, &*sink, &options, None, &Beside::default())?;
        Ok(json!({
            "dst": BytePath::new(&self.dst.shown()),
            "format": format.name(),
            "original_bytes": job.progress.bytes_ok.load(Ordering::Relaxed),
            "stored_bytes": item.size,
            "items": job.progress.items_ok.load(Ordering::Relaxed),
        }))
    }

    /// Memory and threads for an archive: at most half of what there is, the other half being the
    /// copy's own.
    fn seats(
        &self,
        job: &Job,
        source: &dyn ObjectSource,
        item: &Item,
        format: Format,
    ) -> Result<(Seats, Permit)> {
        let Some(codec) = format.codec() else {
            let seats = Seats { threads: self.threads, frames: 1, table_bytes: 0, stream_bytes: 0 };
            return Ok((seats, job.take_memory(0)?));
        };
        // A frame stored and plain, for each thread that decodes.
        let frame = 2 * (codec.block_bytes() as u64 + (1 << 16));
        let total = job.engine.budget.total();
        // An entry of a seek table takes 8 stored bytes at least.
        let table_bytes = (total / 8).min(item.size.saturating_mul(FRAME_TABLE_BYTES / 8));
        // A chunk of an index, stored and plain.
        let chunk = 2 * (INDEX_CHUNK_BYTES_MAX as u64 + (1 << 16));
        let rest = (total / 2).saturating_sub(table_bytes + chunk);
        let frames = (rest / frame).clamp(1, self.threads as u64 + 2);
        let threads = self.threads.min(frames as usize);
        let mut head = [0; 64];
        let count = fill(&*source.open(item)?, 0, &mut head)?;
        let stream = (codec.decoder_bytes)(head.get(..count).unwrap_or_default());
        let decoding = frames * frame + chunk;
        let permit = job.take_memory(table_bytes + decoding.max(stream + (1 << 20)))?;
        Ok((Seats { threads, frames: frames as usize, table_bytes, stream_bytes: stream }, permit))
    }

    fn answer(&self, job: &Job, item: &Item, format: Format, ended: Ended<Told>) -> Value {
        let mut data = json!({ "dst": BytePath::new(&self.dst.shown()), "format": format.name() });
        let (original, stored) = match ended {
            Ended::Skipped => {
                job.skip(b"", item.size);
                return data;
            }
            Ended::Before(original) => (original, item.size),
            Ended::Now(told) => {
                data["digests"] = told.digests;
                (told.original, told.stored)
            }
        };
        job.done(b"", original, &[]);
        data["original_bytes"] = original.into();
        data["stored_bytes"] = stored.into();
        data
    }
}

impl Work for Decompress {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("decompress");
        job.set_subject(self.src.name());
        let (source, item) = self.source(job)?;
        let format = self.detect(&*source.open(&item)?)?;
        if endpoint::overlap(&self.src, &self.dst)? {
            let message = "source and destination are the same, or one lies inside the other";
            return Err(EngineError::new(Kind::Overlap, message).at(self.dst.shown()));
        }
        let is_archive = format.is_archive();
        let root = if is_archive { tree_root(&self.dst) } else { folder_root(&self.dst) };
        let attempt = job.begin_attempt(&[root])?;
        let data = if is_archive {
            self.archive(job, &*source, &item, format)
        } else {
            add(&job.progress.items_total, 1);
            add(&job.progress.bytes_total, item.size);
            job.progress.surveyed.store(true, Ordering::Release);
            let ended = self.file(job, &*source, &item, format);
            ended.map(|ended| self.answer(job, &item, format, ended))
        };
        job.end_attempt(attempt);
        let data = data?;
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        let (source, item) = self.source(job)?;
        let format = self.detect(&*source.open(&item)?)?;
        let way = match format.codec().map(|codec| &codec.packing) {
            _ if format.is_archive() => ("archive", ARCHIVE),
            Some(Packing::Members { .. }) => ("chunked", MEMBERS),
            _ => ("direct", STREAM),
        };
        survey_totals(job, "decompress", way, &[self.src], &self.selection)
    }
}

/// Whether a tar begins here.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// Whether what a compressed file holds begins like a tar.
fn holds_tar(reader: &dyn Reader, codec: &codec::Codec) -> Result<bool> {
    let mut stored = vec![0; PEEK_BYTES];
    let count = fill(reader, 0, &mut stored)?;
    let stored = stored.get(..count).unwrap_or_default();
    let mut decoder = Decoder::new(codec, Caps::NONE)?;
    let mut plain = Vec::new();
    let mut room = vec![0; PEEK_BYTES];
    let mut keep = |bytes: &[u8]| {
        plain.extend_from_slice(bytes);
        if plain.len() < 512 { Ok(()) } else { Err(EngineError::cancelled()) }
    };
    // Ends early on purpose: only the first block is wanted. Damage is told when it is decoded.
    let _ = decoder.take(stored, &mut room, &mut |_| Ok(()), &mut keep);
    Ok(is_tar(&plain))
}
