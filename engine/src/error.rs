//! The one error of the engine: what kind, while doing what, where, and the system's own word.
//!
//! Endpoints convert their own failures once, at their door. Nothing below `wire` knows how an
//! error looks to a host; nothing here is matched by text.

use std::fmt;

/// What went wrong, as far as anybody must decide something by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is explained at its code in the protocol's registry")]
pub enum Kind {
    MissingField,
    InvalidField,
    Unsupported,
    Cancelled,
    UnknownJob,
    KeyConflict,
    Locked,
    SourceNotFound,
    SourcePermission,
    SourceChanged,
    SourceSpecial,
    SourceRead,
    SourceLink,
    SourceCorrupt,
    OutputLimit,
    DestinationExists,
    DestinationPermission,
    DestinationNoSpace,
    DestinationWrite,
    DestinationType,
    DestinationReadOnly,
    DestinationChanged,
    NoAtomicNoreplace,
    NameRefused,
    Overlap,
    MetadataLost,
    DeleteLimit,
    VerifyMismatch,
    ManifestInvalid,
    Accounting,
    DeleteHalted,
    Memory,
    Handles,
    StateDir,
    JournalCorrupt,
    ResumeRefused,
    LeaseLost,
    Internal,
    SecretUnresolved,
    CredentialsMissing,
    CredentialsRefused,
    CredentialsExpired,
    ClockSkew,
    BucketNotFound,
    RegionWrong,
    ListPermission,
    DeletePermission,
    ObjectArchived,
    Throttled,
    RemoteUnavailable,
    RemoteTimeout,
    TlsRefused,
    RedirectRefused,
    RemoteAnswer,
    StoreRefused,
    DatabaseNotFound,
    DatabaseRefused,
    DatabaseVersion,
    DatabasePermission,
    SnapshotRefused,
    SnapshotLost,
    ValueRefused,
    RowTooLarge,
    RowRefused,
    RejectLimit,
    CensusLoss,
    SchemaMismatch,
    TableNotFound,
    Deadlock,
    CopyDeclined,
}

/// A failure. Cheap to move; its parts are read by `wire` alone.
#[derive(Clone, Debug)]
pub struct EngineError(Box<Parts>);

/// The parts of an [`EngineError`].
#[derive(Clone, Debug)]
pub struct Parts {
    /// What went wrong.
    pub kind: Kind,
    /// A lower-case fragment such as "failed to open the source".
    pub message: String,
    /// The item's name relative to the source or destination, where one item is concerned.
    pub path: Option<Vec<u8>>,
    /// The command's field, where one is concerned.
    pub field: Option<String>,
    /// Byte offset in the item.
    pub offset: Option<u64>,
    /// A hint for this very case, better than the registry's.
    pub hint: Option<String>,
    /// The system call or library step that failed, with its error number.
    pub cause: Option<(String, Option<i32>)>,
}

/// `Result` with this crate's error.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;

impl EngineError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            path: None,
            field: None,
            offset: None,
            hint: None,
            cause: None,
        }))
    }

    /// The cancel of a job, seen by its workers.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "cancelled")
    }

    /// With the item it is about; the first name given stays.
    #[must_use]
    pub fn at(mut self, path: impl Into<Vec<u8>>) -> Self {
        self.0.path.get_or_insert_with(|| path.into());
        self
    }

    /// With the item it is about, in place of a part of its name.
    #[must_use]
    pub fn about(mut self, path: impl Into<Vec<u8>>) -> Self {
        self.0.path = Some(path.into());
        self
    }

    /// With the field it is about.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// With the byte offset it is about.
    #[must_use]
    pub fn offset(mut self, offset: u64) -> Self {
        self.0.offset = Some(offset);
        self
    }

    /// With a better hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// With what failed underneath.
    #[must_use]
    pub fn because(mut self, call: impl Into<String>, errno: Option<i32>) -> Self {
        self.0.cause = Some((call.into(), errno));
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Every part.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.0
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some((call, errno)) = &self.0.cause {
            write!(f, ": {call}")?;
            if let Some(errno) = errno {
                write!(f, " (os error {errno})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for EngineError {}
