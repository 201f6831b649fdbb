//! `compress`: one file to a compressed one, published whole.

use std::io::Write as _;

use migration_protocol::fault::{Code, Fault};
use migration_protocol::vocabulary::{BytePath, LimitSpec, LocationSpec, OnExists, object};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::command::forecast::survey_totals;
use crate::command::{Answer, Command, Planned, Prepared, Work, fields};
use crate::endpoint;
use crate::endpoint::contract::{Intake, ObjectSink, Shape, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::keyed::Receipt;
use crate::limits::{CHANGED_ATTEMPTS, CHUNK_BYTES};
use crate::model::choice::{Carry, Durable};
use crate::model::item::{Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::{ItemPath, temp_name};
use crate::model::selection::Selection;
use crate::pipeline::content::{self, ChunkBuffer, Reading};
use crate::pipeline::leftovers::folder_root;
use crate::plan::conflict::{Decision, decide};
use crate::progress::{Spent, add};
use crate::wire;

/// A compressed form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// What `gunzip` reads.
    #[default]
    Gzip,
    /// Not built.
    Zstd,
    /// Not built.
    Lz4,
    /// Not built.
    Brotli,
}

/// The fields of `compress`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompressParams {
    /// The file that is compressed.
    pub src: LocationSpec,
    /// The compressed file.
    pub dst: LocationSpec,
    /// Its form. Default: gzip.
    #[serde(default)]
    pub format: Format,
    /// 1, fastest, to 9, smallest. Default: 6.
    #[serde(default)]
    pub level: Option<u64>,
    /// What happens to what stands there. Default: fail.
    #[serde(default)]
    pub on_exists: OnExists,
    /// Rates of this command. Default: none.
    #[serde(default, deserialize_with = "object")]
    pub limits: LimitSpec,
}

/// The registry's entry.
pub const COMMAND: Command = Command {
    op: "compress",
    about: "Compress a file to gzip",
    schema: || schemars::schema_for!(CompressParams),
    prepare,
};

fn prepare(map: Map<String, Value>) -> Result<Prepared, Fault> {
    let params: CompressParams = fields::read(map)?;
    fields::check_limits(&params.limits)?;
    if params.format != Format::Gzip {
        let fault = Fault::new(Code::Unsupported, "this format is not built in this version");
        return Err(fault.at_field("format").hint("formats of this version: gzip"));
    }
    let work = (|| {
        let src = wire::location(&params.src, "src")?;
        let dst = wire::location(&params.dst, "dst")?;
        endpoint::scheme(&src).map_err(|error| error.field("src"))?;
        endpoint::scheme(&dst).map_err(|error| error.field("dst"))?;
        let level = fields::in_range("level", params.level.unwrap_or(6), 1, 9)? as u32;
        Ok(Compress { src, dst, level, on_exists: params.on_exists })
    })();
    let work = work.map_err(|error: EngineError| wire::fault(&error))?;
    Ok(Prepared { limits: params.limits, work: Box::new(work) })
}

struct Compress {
    src: Location,
    dst: Location,
    level: u32,
    on_exists: OnExists,
}

impl Compress {
    fn transfer(
        &self,
        job: &Job,
        item: &Item,
        sink: &dyn ObjectSink,
    ) -> Result<Option<(u64, u64)>> {
        let (place, name) = sink.root_place()?;
        let found = sink.found(&place, &name)?;
        if let (Some(found), Some(ledger)) = (&found, job.ledger())
            && let Some(receipt) = ledger.receipt(b"")?
            && receipt.wrote(found.mark)
            && receipt.fits(item)
        {
            return Ok(Some((item.size, found.size)));
        }
        let consent = match decide(wire::on_exists(self.on_exists), item, found.as_ref()) {
            Decision::Skip => return Ok(None),
            Decision::Write(consent) => consent,
            Decision::Conflict(kind) => {
                let message = "something stands at the destination";
                return Err(EngineError::new(kind, message).at(self.dst.shown()));
            }
        };
        let source = endpoint::open_source(&self.src)?;
        let mut buffer = ChunkBuffer::new(job, CHUNK_BYTES)?;
        for _ in 0..CHANGED_ATTEMPTS {
            let reader = source.open(item)?;
            let temp = temp_name(&job.name, job.next_temp());
            let intake = sink.begin(&place, &temp, Shape::default())?;
            let target = Target::new(&name, consent, Carry::PLAIN);
            let (_, attributes) = reader.facts();
            let mut packer = Packer::new(job, &*intake, self.level);
            let how = Reading { path: b"", algorithms: &[], holes: false };
            let read =
                content::read(job, &*reader, &mut buffer, how, |_, chunk| packer.take(chunk));
            let stored = read.and_then(|content| Ok((packer.finish()?, content)));
            match stored {
                Ok((stored, content)) if content.whole => {
                    let staged = intake.seal(stored, &attributes, &target)?;
                    if let Some(ledger) = job.ledger() {
                        let receipt = Receipt::new(item, staged.mark, &[]);
                        ledger.commit(&[(Vec::new(), receipt)])?;
                    }
                    publish(job, sink, staged)?;
                    return Ok(Some((content.bytes, stored)));
                }
                Ok(_) => {
                    intake.abort();
                    add(&job.progress.retries, 1);
                }
                Err(error) => {
                    intake.abort();
                    return Err(error);
                }
            }
        }
        Err(EngineError::new(Kind::SourceChanged, "the source kept changing while it was read"))
    }
}

fn publish(job: &Job, sink: &dyn ObjectSink, staged: Staged) -> Result<()> {
    let mut outcomes =
        job.progress.timed(Spent::Sync, || sink.publish(vec![staged], Durable::PowerLoss));
    outcomes.pop().unwrap_or(Ok(()))
}

/// Writes compressed bytes to an intake as they come.
struct Packer<'a> {
    job: &'a Job,
    intake: &'a dyn Intake,
    encoder: flate2::write::GzEncoder<Vec<u8>>,
    stored: u64,
}

impl<'a> Packer<'a> {
    fn new(job: &'a Job, intake: &'a dyn Intake, level: u32) -> Self {
        let level = flate2::Compression::new(level);
        Self { job, intake, encoder: flate2::write::GzEncoder::new(Vec::new(), level), stored: 0 }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        let packed = self.job.progress.timed(Spent::Compress, || self.encoder.write_all(chunk));
        packed.map_err(|error| failed(&error))?;
        self.drain()
    }

    fn drain(&mut self) -> Result<()> {
        let ready = std::mem::take(self.encoder.get_mut());
        self.write(&ready)
    }

    fn write(&mut self, ready: &[u8]) -> Result<()> {
        let write = || self.intake.write_at(self.stored, ready);
        self.job.progress.timed(Spent::DestinationWrite, write)?;
        self.stored += ready.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        let progress = &self.job.progress;
        let tried = progress.timed(Spent::Compress, || self.encoder.try_finish());
        tried.map_err(|error| failed(&error))?;
        self.drain()?;
        Ok(self.stored)
    }
}

fn failed(error: &std::io::Error) -> EngineError {
    EngineError::new(Kind::Internal, "failed to compress").because(error.to_string(), None)
}

impl Work for Compress {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.progress.set_phase("compress");
        job.set_subject(self.src.name());
        let source = endpoint::open_source(&self.src)?;
        let item = source.find(&ItemPath::root())?.filter(|item| item.kind == ItemKind::File);
        let Some(item) = item else {
            let message = "the source is no regular file";
            return Err(EngineError::new(Kind::Unsupported, message)
                .at(self.src.shown())
                .hint("archives of directories are not built in this version"));
        };
        add(&job.progress.items_total, 1);
        add(&job.progress.bytes_total, item.size);
        job.progress.surveyed.store(true, std::sync::atomic::Ordering::Release);
        if endpoint::overlap(&self.src, &self.dst)? {
            let message = "source and destination are the same file";
            return Err(EngineError::new(Kind::Overlap, message).at(self.dst.shown()));
        }
        let attempt = job.begin_attempt(&[folder_root(&self.dst)])?;
        let opened = (endpoint::scheme(&self.dst)?.sink)(&self.dst);
        let packed = opened.and_then(|sink| self.transfer(job, &item, &*sink));
        if let Some(attempt) = attempt {
            attempt.end();
        }
        let mut data = json!({ "dst": BytePath::new(&self.dst.shown()), "format": "gzip" });
        match packed? {
            None => job.skip(b"", item.size),
            Some((original, stored)) => {
                job.done(b"", original, &[]);
                data["original_bytes"] = original.into();
                data["stored_bytes"] = stored.into();
                data["ratio"] = ratio(original, stored).into();
            }
        }
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn plan(self: Box<Self>, job: &Job) -> Result<Planned> {
        survey_totals(job, "compress", "gzip", &[self.src], &Selection::default())
    }
}

fn ratio(original: u64, stored: u64) -> f64 {
    if original == 0 { 0.0 } else { stored as f64 / original as f64 }
}
