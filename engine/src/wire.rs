//! Between the engine's own nouns and the protocol's: the one place that knows both.

use std::sync::Arc;

use migration_protocol::event::{Bottleneck, Failure, Metrics, SAMPLE_MAX, SAMPLE_MAX_BYTES};
use migration_protocol::fault::{Code, Fault};
use migration_protocol::store as wire_store;
use migration_protocol::store::StoreSpec;
use migration_protocol::vocabulary as wire;
use migration_protocol::vocabulary::{BytePath, LocationSpec, SecretRef};

use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::model::choice::{Carry, Compare, Durable, Links, OnExists};
use crate::model::digest::Algorithm;
use crate::model::location::Location;
use crate::model::secret::SecretSource;
use crate::model::store::{Keys, StoreOptions};
use crate::progress::Spent;

/// The code of a kind.
#[must_use]
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::MissingField => Code::MissingField,
        Kind::InvalidField => Code::InvalidField,
        Kind::Unsupported | Kind::CopyDeclined => Code::Unsupported,
        Kind::Cancelled => Code::Cancelled,
        Kind::UnknownJob => Code::UnknownJob,
        Kind::KeyConflict => Code::KeyConflict,
        Kind::Locked => Code::Locked,
        Kind::SourceNotFound => Code::SrcNotFound,
        Kind::SourcePermission => Code::SrcPermission,
        Kind::SourceChanged => Code::SrcChanged,
        Kind::SourceSpecial => Code::SrcSpecial,
        Kind::SourceRead => Code::SrcRead,
        Kind::SourceLink => Code::SrcLink,
        Kind::SourceCorrupt => Code::SrcCorrupt,
        Kind::OutputLimit => Code::OutputLimit,
        Kind::DestinationExists => Code::DstExists,
        Kind::DestinationPermission => Code::DstPermission,
        Kind::DestinationNoSpace => Code::DstNoSpace,
        Kind::DestinationWrite => Code::DstWrite,
        Kind::DestinationType => Code::DstType,
        Kind::DestinationReadOnly => Code::DstReadOnly,
        Kind::DestinationChanged => Code::DstChanged,
        Kind::NoAtomicNoreplace => Code::NoAtomicNoreplace,
        Kind::NameRefused => Code::NameRefused,
        Kind::Overlap => Code::Overlap,
        Kind::MetadataLost => Code::MetadataLost,
        Kind::DeleteLimit => Code::DeleteLimit,
        Kind::VerifyMismatch => Code::VerifyMismatch,
        Kind::ManifestInvalid => Code::ManifestInvalid,
        Kind::Accounting => Code::Accounting,
        Kind::ResumeRefused => Code::ResumeRefused,
        Kind::DeleteHalted => Code::DeleteHalted,
        Kind::Memory => Code::Memory,
        Kind::Handles => Code::Handles,
        Kind::StateDir => Code::StateDir,
        Kind::JournalCorrupt => Code::JournalCorrupt,
        Kind::LeaseLost => Code::LeaseLost,
        Kind::Internal => Code::Internal,
        Kind::SecretUnresolved => Code::SecretUnresolved,
        Kind::CredentialsMissing => Code::CredentialsMissing,
        Kind::CredentialsRefused => Code::CredentialsRefused,
        Kind::CredentialsExpired => Code::CredentialsExpired,
        Kind::ClockSkew => Code::ClockSkew,
        Kind::BucketNotFound => Code::BucketNotFound,
        Kind::RegionWrong => Code::RegionWrong,
        Kind::ListPermission => Code::ListPermission,
        Kind::DeletePermission => Code::DeletePermission,
        Kind::ObjectArchived => Code::ObjectArchived,
        Kind::Throttled => Code::Throttled,
        Kind::RemoteUnavailable => Code::RemoteUnavailable,
        Kind::RemoteTimeout => Code::RemoteTimeout,
        Kind::TlsRefused => Code::TlsRefused,
        Kind::RedirectRefused => Code::RedirectRefused,
        Kind::RemoteAnswer => Code::RemoteAnswer,
        Kind::StoreRefused => Code::StoreRefused,
        of_tables => table_code(of_tables),
    }
}

/// The code of a kind that only databases have.
fn table_code(kind: Kind) -> Code {
    match kind {
        Kind::DatabaseNotFound => Code::DatabaseNotFound,
        Kind::DatabaseRefused => Code::DatabaseRefused,
        Kind::DatabaseVersion => Code::DatabaseVersion,
        Kind::DatabasePermission => Code::DatabasePermission,
        Kind::SnapshotRefused => Code::SnapshotRefused,
        Kind::SnapshotLost => Code::SnapshotLost,
        Kind::ValueRefused => Code::ValueRefused,
        Kind::RowTooLarge => Code::RowTooLarge,
        Kind::RowRefused => Code::RowRefused,
        Kind::RejectLimit => Code::RejectLimit,
        Kind::CensusLoss => Code::CensusLoss,
        Kind::SchemaMismatch => Code::SchemaMismatch,
        Kind::TableNotFound => Code::TableNotFound,
        Kind::Deadlock => Code::Deadlock,
        _ => Code::Internal,
    }
}

/// The wire's face of an error.
#[must_use]
pub fn fault(error: &EngineError) -> Fault {
    let parts = error.parts();
    let mut fault = Fault::new(code(parts.kind), parts.message.clone());
    if let Some(path) = &parts.path {
        fault = fault.at_path(path);
    }
    if let Some(field) = &parts.field {
        fault = fault.at_field(field.clone());
    }
    if let Some(offset) = parts.offset {
        fault.at.get_or_insert_default().offset = Some(offset);
    }
    if let Some(hint) = &parts.hint {
        fault = fault.hint(hint.clone());
    }
    if let Some((call, errno)) = &parts.cause {
        fault = fault.caused_by(call.clone(), *errno);
    }
    fault
}

/// A failed item of a result.
#[must_use]
pub fn failure(error: &EngineError) -> Failure {
    let parts = error.parts();
    let mut message = parts.message.clone();
    if let Some((call, Some(errno))) = &parts.cause {
        message.push_str(&format!(" ({call}: os error {errno})"));
    }
    Failure {
        at: BytePath::new(parts.path.as_deref().unwrap_or_default()),
        code: code(parts.kind),
        message: migration_protocol::fault::printable(&message),
    }
}

/// As many of `list` as a result's list may hold.
pub fn sample<T: serde::Serialize>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    sample_up_to(list, SAMPLE_MAX, SAMPLE_MAX_BYTES)
}

/// As many of `list` as fit into so many entries and bytes.
pub fn sample_up_to<T: serde::Serialize>(
    list: impl IntoIterator<Item = T>,
    entries: usize,
    bytes: usize,
) -> Vec<T> {
    let mut left = bytes;
    let mut kept = Vec::new();
    for entry in list.into_iter().take(entries) {
        let bytes = serde_json::to_vec(&entry).map_or(usize::MAX, |text| text.len());
        let Some(rest) = left.checked_sub(bytes) else {
            break;
        };
        left = rest;
        kept.push(entry);
    }
    kept
}

/// A location of a command.
///
/// # Errors
/// `InvalidField` naming the field.
pub fn location(spec: &LocationSpec, field: &str) -> Result<Location> {
    let auth = spec.auth.iter().map(|(name, secret)| (name.clone(), secret_source(secret)));
    let location = Location::parse(&spec.bytes, auth.collect());
    let location = location.map_err(|error| error.field(field))?;
    Ok(Location { store: Arc::new(store_options(&spec.store)), ..location })
}

fn store_options(spec: &StoreSpec) -> StoreOptions {
    let spec = spec.clone();
    StoreOptions {
        endpoint: spec.endpoint,
        region: spec.region,
        profile: spec.profile,
        account: spec.account,
        anonymous: spec.anonymous,
        imds: spec.imds,
        path_style: spec.path_style,
        accelerate: spec.accelerate,
        requester_pays: spec.requester_pays,
        tls_ca: spec.tls_ca,
        tls_insecure: spec.tls_insecure,
        allow_racy: spec.allow_racy,
        keys: match spec.keys {
            wire_store::Keys::Plain => Keys::Plain,
            wire_store::Keys::Escape => Keys::Escape,
        },
        part_bytes: spec.part_bytes.map(|size| size.0),
        storage_class: spec.storage_class,
        content_type: spec.content_type,
        content_encoding: spec.content_encoding,
        cache_control: spec.cache_control,
        metadata: spec.metadata,
        tags: spec.tags,
        acl: spec.acl,
        sse: spec.sse,
        sse_key_id: spec.sse_key_id,
    }
}

/// A location that must be a local file of the operator.
///
/// # Errors
/// `InvalidField`, `Unsupported`.
pub fn local_path(spec: &LocationSpec, field: &str) -> Result<Vec<u8>> {
    let location = location(spec, field)?;
    if location.scheme != "file" {
        let message = format!("{field} must be a local file");
        return Err(EngineError::new(Kind::Unsupported, message).field(field));
    }
    Ok(location.path)
}

fn secret_source(secret: &SecretRef) -> SecretSource {
    match secret {
        SecretRef::Env(name) => SecretSource::Env(name.clone()),
        SecretRef::File(path) => SecretSource::File(path.clone().into_bytes()),
        SecretRef::Fd(fd) => SecretSource::Fd(*fd),
        SecretRef::Command(argv) => SecretSource::Command(argv.clone()),
    }
}

/// An algorithm of a command.
#[must_use]
pub fn algorithm(algorithm: wire::Algorithm) -> Algorithm {
    match algorithm {
        wire::Algorithm::Crc64nvme => Algorithm::Crc64Nvme,
        wire::Algorithm::Crc32c => Algorithm::Crc32c,
        wire::Algorithm::Sha256 => Algorithm::Sha256,
        wire::Algorithm::Blake3 => Algorithm::Blake3,
        wire::Algorithm::Md5 => Algorithm::Md5,
        wire::Algorithm::Sha1 => Algorithm::Sha1,
    }
}

/// A rule about what stands at the destination.
#[must_use]
pub fn on_exists(rule: wire::OnExists) -> OnExists {
    match rule {
        wire::OnExists::Fail => OnExists::Fail,
        wire::OnExists::Skip => OnExists::Skip,
        wire::OnExists::Update => OnExists::Update,
        wire::OnExists::Replace => OnExists::Replace,
    }
}

/// How two files are told to be the same.
#[must_use]
pub fn compare(rule: wire::Compare) -> Compare {
    match rule {
        wire::Compare::Time => Compare::Time,
        wire::Compare::Digest => Compare::Content,
    }
}

/// A rule about symbolic links.
#[must_use]
pub fn links(rule: wire::Symlinks) -> Links {
    match rule {
        wire::Symlinks::Preserve => Links::Preserve,
        wire::Symlinks::Follow => Links::Follow,
        wire::Symlinks::Skip => Links::Skip,
    }
}

/// What is carried over.
#[must_use]
pub fn carry(preserve: &[wire::Preserve]) -> Carry {
    let has = |what| preserve.contains(&what);
    let setuid = has(wire::Preserve::Setuid);
    Carry {
        mode: has(wire::Preserve::Mode) || setuid || has(wire::Preserve::Acls),
        times: has(wire::Preserve::Times),
        owner: has(wire::Preserve::Owner),
        setuid,
        xattrs: has(wire::Preserve::Xattrs),
        acls: has(wire::Preserve::Acls),
        hard_links: has(wire::Preserve::HardLinks),
        holes: has(wire::Preserve::Holes),
        specials: has(wire::Preserve::Specials),
    }
}

/// What a copy survives.
#[must_use]
pub fn durable(durability: wire::Durability) -> Durable {
    match durability {
        wire::Durability::PowerLoss => Durable::PowerLoss,
        wire::Durability::Crash => Durable::Crash,
    }
}

/// A job's metrics, at its end.
#[must_use]
pub fn metrics(job: &Job, started: crate::job::Started) -> Metrics {
    use std::sync::atomic::Ordering::Relaxed;
    let (progress, meter) = (&job.progress, &job.ties.meter);
    let throttled = meter.throttled_ns.load(Relaxed) / 1_000_000;
    let elapsed = started.at.elapsed();
    let bytes = progress.bytes_ok.load(Relaxed);
    let millis = |on| progress.spent(on).as_millis() as u64;
    let cpu = crate::platform::process::cpu_time().saturating_sub(started.cpu);
    Metrics {
        bytes,
        bytes_wire: meter.bytes_sent.load(Relaxed) + meter.bytes_received.load(Relaxed),
        items_ok: progress.items_ok.load(Relaxed),
        items_failed: progress.items_failed.load(Relaxed),
        items_skipped: progress.items_skipped.load(Relaxed),
        rows: progress.rows.load(Relaxed),
        rows_rejected: progress.rows_rejected.load(Relaxed),
        elapsed_ms: elapsed.as_millis() as u64,
        bytes_per_s_avg: (bytes as f64 / elapsed.as_secs_f64().max(1e-6)) as u64,
        cpu_ms: cpu.as_millis() as u64,
        peak_rss_bytes: crate::platform::process::peak_rss_bytes(),
        retries: progress.retries.load(Relaxed) + meter.retries.load(Relaxed),
        throttled_ms: millis(Spent::Throttle) + throttled,
        requests: meter.requests.load(Relaxed),
        cache_hits: meter.cache_hits.load(Relaxed),
        cache_misses: meter.cache_misses.load(Relaxed),
        bottleneck: Bottleneck {
            source_read_ms: millis(Spent::SourceRead),
            hash_ms: millis(Spent::Hash),
            compress_ms: millis(Spent::Compress),
            network_ms: meter.waited_ns.load(Relaxed) / 1_000_000,
            throttle_ms: millis(Spent::Throttle) + throttled,
            destination_write_ms: millis(Spent::DestinationWrite),
            sync_ms: millis(Spent::Sync),
        },
    }
}
