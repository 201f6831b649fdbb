//! Words of the library as errors of the engine.

use rusqlite::ffi::ErrorCode;

use crate::error::{EngineError, Kind};

/// Which side of a copy a session is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It reads.
    Source,
    /// It writes.
    Sink,
}

/// The error of a call to the library while doing something.
pub fn convert(side: Side, doing: &str, error: &rusqlite::Error) -> EngineError {
    let code = error.sqlite_error_code();
    let made = EngineError::new(kind(side, code), doing);
    let hint = match code {
        Some(ErrorCode::CannotOpen) => Some(
            "the file must exist; of a database in WAL mode also its -shm, or its directory must \
             be writable",
        ),
        Some(ErrorCode::ReadOnly) if side == Side::Source => {
            Some("its last writer was killed: open it once with its own program")
        }
        Some(ErrorCode::NotADatabase) => Some("the file is no SQLite database, or it is encrypted"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Some(
            "another program holds the file: fuser or lsof shows which; or wait longer with \
             lock_timeout_s",
        ),
        _ => None,
    };
    let made = made.because(error.to_string(), None);
    hint.map_or(made.clone(), |hint| made.hint(hint))
}

fn kind(side: Side, code: Option<ErrorCode>) -> Kind {
    let source = side == Side::Source;
    match code {
        Some(ErrorCode::CannotOpen | ErrorCode::NotADatabase) => Kind::DatabaseNotFound,
        Some(ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            Kind::DatabasePermission
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Locked,
        Some(ErrorCode::OutOfMemory) => Kind::Memory,
        Some(ErrorCode::ReadOnly) if !source => Kind::DestinationReadOnly,
        Some(ErrorCode::OperationInterrupted) => Kind::Cancelled,
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) if source => Kind::SourceRead,
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) => Kind::DestinationWrite,
        Some(ErrorCode::DiskFull) if !source => Kind::DestinationNoSpace,
        Some(ErrorCode::TooBig) => Kind::RowTooLarge,
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => Kind::RowRefused,
        _ => Kind::DatabaseRefused,
    }
}
