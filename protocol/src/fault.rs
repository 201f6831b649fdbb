//! What can go wrong, as the wire says it: a registry of stable codes, and the error object.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::vocabulary::BytePath;

/// Who can mend a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The command or its settings: change them.
    Config,
    /// Rights: grant them.
    Auth,
    /// This item's own content or name: the rest goes on.
    Data,
    /// Outage or conflict that passes: try again.
    Transient,
    /// Space, memory, handles: make room, then resume.
    Resource,
    /// Bytes that are not what they should be: keep the evidence, do not cut over.
    Integrity,
    /// A defect of the engine: report it.
    Internal,
}

/// One entry of the registry.
#[derive(Clone, Copy, Debug)]
pub struct CodeSpec {
    /// Stable name.
    pub name: &'static str,
    /// Stable positive number, for envelopes that need one.
    pub n: u16,
    /// Who can mend it.
    pub class: Class,
    /// Whether the same command may succeed later without change.
    pub retryable: bool,
    /// What to do next, in one line.
    pub hint: &'static str,
    /// What `explain CODE` prints.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($variant:ident $name:literal $n:literal $class:ident $retry:literal $hint:literal
       $explanation:literal)*) => {
        /// A stable code. Numbers: 1000 session, 1100 source, 1200 destination, 1300 integrity,
        /// 1400 resources and state, 1500 internal, 1600 secrets, 1700 services.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
        pub enum Code {
            $(#[doc = $explanation] #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The registry entry.
            #[must_use]
            pub fn spec(self) -> CodeSpec {
                match self {
                    $(Code::$variant => CodeSpec {
                        name: $name, n: $n, class: Class::$class, retryable: $retry,
                        hint: $hint, explanation: $explanation,
                    },)*
                }
            }
        }
    };
}

codes! {
    ProtocolVersion "PROTOCOL_VERSION" 1001 Config false
        "ask for a version listed in hello, or update the older side"
        "The host asked for a protocol version that this engine does not speak."
    Parse "PARSE" 1002 Config false
        "send one JSON object per line, in UTF-8"
        "A line is not one JSON object: bad syntax, invalid UTF-8, a lone surrogate, nesting deeper than 64, or a bare value. The line is dropped; the session goes on."
    LineTooLong "LINE_TOO_LONG" 1003 Config false
        "split the command; put long lists into a manifest file"
        "A line is longer than limits.line_in of hello. It was skipped up to its newline."
    DuplicateField "DUPLICATE_FIELD" 1004 Config false
        "give each field once"
        "An object names the same field twice, so its meaning would depend on the reader."
    UnknownOp "UNKNOWN_OP" 1005 Config false
        "see ops in hello"
        "The op is not one of this protocol."
    UnknownField "UNKNOWN_FIELD" 1006 Config false
        "check the spelling; `migration-engine schema --kind commands` lists every field"
        "A command has a field that its op does not know. Ignoring it could silently change what is done."
    MissingField "MISSING_FIELD" 1007 Config false
        "add the field"
        "A field that the op needs is absent."
    InvalidField "INVALID_FIELD" 1008 Config false
        "see `migration-engine schema --kind commands` for the field's type and range"
        "A field has the wrong type, is out of range, or contradicts another one."
    DuplicateId "DUPLICATE_ID" 1009 Config false
        "use a new id, or wait for the result of the first"
        "The id belongs to a command that is not finished yet."
    Unsupported "UNSUPPORTED" 1010 Config false
        "see ops and features in hello"
        "The op, scheme or option is known, and this backend does not offer it."
    FeatureMissing "FEATURE_MISSING" 1011 Config false
        "drop the name from require, or update the engine"
        "The host required a feature that is not in hello."
    Dependency "DEPENDENCY" 1012 Config false
        "mend the command named in after, then send this one again"
        "A command named in after did not end with a status in after_status, so this one was skipped."
    Cancelled "CANCELLED" 1013 Config true
        "send the command again; with a key it goes on where it stopped"
        "The command was cancelled before it finished. No partial file stands under a final name."
    UnknownJob "UNKNOWN_JOB" 1014 Config false
        "list them with the jobs op"
        "No job has this target, key or token."
    ShuttingDown "SHUTTING_DOWN" 1015 Config true
        "start a new engine"
        "The engine is shutting down and takes no more commands."
    KeyConflict "KEY_CONFLICT" 1016 Config false
        "use a new key for a new command"
        "The key was used before with a different command in this state directory."
    Locked "LOCKED" 1017 Transient true
        "wait for the other engine, or stop it"
        "Another engine is running the command with this key, or holds the lease on the destination; or another session of a database holds a lock."
    SrcNotFound "SRC_NOT_FOUND" 1101 Data false
        "check the path; relative paths start at the engine's working directory"
        "The source, or one of its items, does not exist."
    SrcPermission "SRC_PERMISSION" 1102 Auth false
        "grant read access, or exclude the item"
        "The source may not be read by this user."
    SrcChanged "SRC_CHANGED" 1103 Data true
        "stop the writer, or copy from a snapshot"
        "The source changed while it was read, three times in a row. No mixed content was published."
    SrcSpecial "SRC_SPECIAL" 1104 Data false
        "exclude the item"
        "The item is a fifo, socket or device. It was reported and not opened."
    SrcRead "SRC_READ" 1105 Data true
        "check the device and its kernel log"
        "Reading the source failed."
    SrcLink "SRC_LINK" 1106 Data false
        "keep links with symlinks:\"preserve\", or give their target as the source"
        "A symbolic link could not be followed: it is circular, dangling, or leads out of the source."
    SrcCorrupt "SRC_CORRUPT" 1107 Data false
        "get the file again from where it came"
        "The compressed file or archive is damaged, cut off, or followed by bytes that do not belong to it. Nothing decoded from it was published."
    OutputLimit "OUTPUT_LIMIT" 1108 Data false
        "raise max_bytes or max_ratio, where the file is trusted"
        "The compressed file would grow beyond max_bytes or max_ratio. Nothing decoded from it was published."
    DstExists "DST_EXISTS" 1201 Data false
        "choose on_exists: skip, update or replace"
        "Something of that name stands at the destination, and on_exists is fail. Nothing was overwritten."
    DstPermission "DST_PERMISSION" 1202 Auth false
        "grant write access to the destination directory"
        "The destination may not be written by this user."
    DstNoSpace "DST_NO_SPACE" 1203 Resource true
        "free space or raise the quota, then send the command again"
        "The destination is full or over quota. What was published is whole; the rest was removed, but for large files that a key goes on with."
    DstChanged "DST_CHANGED" 1204 Data true
        "send the command again; see who else writes to the destination"
        "What stands at the destination changed since the command looked at it. It was left as it is."
    DstWrite "DST_WRITE" 1205 Data true
        "check the device and its kernel log"
        "Writing the destination failed. The partial file was removed."
    DstType "DST_TYPE" 1206 Data false
        "move the thing in the way, or choose another destination"
        "The destination holds another kind of thing there: a directory where a file goes, a file where a directory goes, or a symbolic link, which is never written through."
    DstReadOnly "DST_READ_ONLY" 1208 Auth false
        "mount the destination writable"
        "The destination filesystem is read-only."
    NoAtomicNoreplace "NO_ATOMIC_NOREPLACE" 1209 Config false
        "use another filesystem, or on_exists:\"replace\""
        "The destination filesystem cannot publish a name without a chance of overwriting another writer's."
    NameRefused "NAME_REFUSED" 1210 Data false
        "rename or exclude the item"
        "The name cannot be held by the destination: too long, empty, with a NUL or a `..`, or of the form kept for temporary files."
    Overlap "OVERLAP" 1211 Config false
        "choose a destination outside the source"
        "Source and destination are the same file, or one directory lies inside the other."
    MetadataLost "METADATA_LOST" 1212 Data false
        "leave the kind out of preserve, or choose a destination that holds it"
        "The destination cannot hold some of the metadata asked for. The items were copied without it; result.data.lost counts them."
    DeleteLimit "DELETE_LIMIT" 1220 Config false
        "look at what plan says would go; if it is right, raise max_delete"
        "More would be deleted at the destination than max_delete allows. Everything was copied, and nothing was deleted."
    VerifyMismatch "VERIFY_MISMATCH" 1301 Integrity false
        "keep both sides as they are and compare them; do not cut over"
        "Two things that should be equal are not: a digest, a size, a link's text or a kind differs, or an entry is missing or extra."
    ManifestInvalid "MANIFEST_INVALID" 1302 Data false
        "give a manifest written by checksum or copy, or by sha256sum"
        "A line of the manifest is no entry of a known form."
    Accounting "ACCOUNTING" 1303 Integrity false
        "treat the run as failed and report it"
        "Planned items do not equal done plus failed plus skipped ones."
    ResumeRefused "RESUME_REFUSED" 1305 Integrity false
        "check source and destination; use a new key to start over"
        "The plan, the source root or the destination root is not the one of this key's first attempt. Nothing was changed."
    DeleteHalted "DELETE_HALTED" 1320 Integrity false
        "check that the source is the right one and wholly readable, then send the command again"
        "Nothing was deleted at the destination, since it is not certain what the source has: it has no items at all, a listing on either side failed, or an item failed."
    Memory "MEMORY" 1401 Resource false
        "raise --memory-cap, or lower chunk_bytes"
        "The command needs more memory at once than the cap allows."
    Handles "HANDLES" 1402 Resource true
        "raise the open-file limit (ulimit -n)"
        "The process or the system ran out of file handles."
    StateDir "STATE_DIR" 1403 Resource true
        "give a writable --state-dir"
        "The state directory cannot be used, so keys and clean-up after a crash cannot be kept."
    JournalCorrupt "JOURNAL_CORRUPT" 1404 Integrity false
        "keep the file for inspection; use a new key to start over"
        "The record of a keyed command is damaged. Nothing is guessed from it."
    LeaseLost "LEASE_LOST" 1420 Resource true
        "see who writes to the destination, then send the command again"
        "The lease on the destination was lost while the command ran: it could not be renewed in time, or somebody else broke it. Nothing was published after that."
    Internal "INTERNAL" 1501 Internal false
        "report it with the log from stderr"
        "A defect of the engine. Only this command is affected."
    SecretUnresolved "SECRET_UNRESOLVED" 1601 Config false
        "set the variable, or mend the file or descriptor the reference names"
        "A secret reference could not be read. The secret itself is never printed."
    CredentialsMissing "CREDENTIALS_MISSING" 1701 Auth false
        "give auth in the location, set the environment variables of the store, or write its profile file; anonymous:true reads public data"
        "No credentials for the object store were found: neither in the location, nor in the environment, nor in a profile file. Instance metadata is asked only where imds allows it."
    CredentialsRefused "CREDENTIALS_REFUSED" 1702 Auth false
        "check key and secret, and that they belong to this endpoint"
        "The object store does not know the key, or the signature does not match its secret."
    CredentialsExpired "CREDENTIALS_EXPIRED" 1703 Auth false
        "get new credentials, then send the command again; with a key it goes on where it stopped"
        "The token or the temporary credentials are no longer valid, and no new ones could be had."
    ClockSkew "CLOCK_SKEW" 1704 Config false
        "set the clock of this machine, by NTP for example"
        "The clocks of this machine and of the object store differ by more than signatures allow."
    BucketNotFound "BUCKET_NOT_FOUND" 1705 Config false
        "check the name; buckets are never made by a copy"
        "The bucket or container does not exist."
    RegionWrong "REGION_WRONG" 1706 Config false
        "give the region of the bucket in the location"
        "The bucket lies in another region than the one asked."
    ListPermission "LIST_PERMISSION" 1707 Auth false
        "grant s3:ListBucket or the like; a single object needs no listing"
        "The bucket may not be listed with these credentials, so nobody knows what is there. Nothing was deleted."
    DeletePermission "DELETE_PERMISSION" 1708 Auth false
        "grant s3:DeleteObject or the like, or leave out delete"
        "Objects may not be removed with these credentials."
    ObjectArchived "OBJECT_ARCHIVED" 1709 Data false
        "restore the object from its archive tier, then send the command again"
        "The object lies in an archive tier of its store and cannot be read before it is restored."
    Throttled "THROTTLED" 1710 Transient true
        "send the command again later, or lower limits.ops_per_s"
        "The service went on asking for patience until the retries were used up."
    RemoteUnavailable "REMOTE_UNAVAILABLE" 1711 Transient true
        "check the endpoint and the network, then send the command again"
        "The service could not be reached, or went on failing until the retries were used up."
    RemoteTimeout "REMOTE_TIMEOUT" 1712 Transient true
        "check the network, then send the command again"
        "The service did not answer, or did not go on, in time."
    TlsRefused "TLS_REFUSED" 1713 Config false
        "check the host name; give the authority that signed its certificate as tls_ca"
        "The service's certificate is not trusted or does not bear its name, or TLS could not be agreed on. Nothing was sent."
    RedirectRefused "REDIRECT_REFUSED" 1714 Config false
        "give the address that the service names, if it is the right one"
        "The service sent the request on to a place where it is not followed: from https to http, in a circle, or with credentials to another host."
    RemoteAnswer "REMOTE_ANSWER" 1715 Transient true
        "check that the endpoint is the service it should be"
        "The service's answer cannot be understood: damaged, cut off, too long, or not of its protocol. Nothing was concluded from it."
    StoreRefused "STORE_REFUSED" 1716 Config false
        "see the cause: it holds the store's own words"
        "The object store refused the request as wrong."
    DatabaseNotFound "DATABASE_NOT_FOUND" 1801 Config false
        "check the name of the database or schema in the URL"
        "The database or schema does not exist."
    DatabaseRefused "DATABASE_REFUSED" 1802 Config false
        "see the cause: it holds the server's own words"
        "The database server refused a statement as wrong."
    DatabaseVersion "DATABASE_VERSION" 1803 Config false
        "use a newer server, or another way to reach its rows"
        "The database server is too old, or speaks another protocol."
    DatabasePermission "DATABASE_PERMISSION" 1804 Config false
        "grant the right that the cause names to the user, then send the command again"
        "The user of the database lacks a right."
    SnapshotRefused "SNAPSHOT_REFUSED" 1805 Config false
        "grant the right that the cause names, or allow a weaker snapshot with \"snapshot\""
        "One instant over all readers cannot be had."
    SnapshotLost "SNAPSHOT_LOST" 1806 Transient true
        "send the command again: what was written stays, and is compared with the source"
        "The instant that was read is gone: a session of its own ended."
    ValueRefused "VALUE_REFUSED" 1807 Data false
        "choose a policy for such values, or mend the row"
        "A value cannot be held by the column it goes to."
    RowTooLarge "ROW_TOO_LARGE" 1808 Data false
        "raise memory_bytes, or leave the column out"
        "A row is longer than memory or the server allows."
    RowRefused "ROW_REFUSED" 1809 Data false
        "mend the row, or allow rejects"
        "The target refused a row: a key that is there, a NULL where none may be, a value out of range."
    RejectLimit "REJECT_LIMIT" 1810 Data false
        "see the file of rejects; raise the limit to go on without these rows"
        "More rows were rejected than the command allows."
    CensusLoss "CENSUS_LOSS" 1811 Data false
        "look at the plan's census, and choose a policy for each loss"
        "The source holds values that the target cannot hold. Nothing was written."
    SchemaMismatch "SCHEMA_MISMATCH" 1812 Config false
        "make the columns agree, or name those to copy"
        "A table that stands at the target does not fit the rows."
    TableNotFound "TABLE_NOT_FOUND" 1813 Config false
        "check the names in include"
        "No table has such a name."
    Deadlock "DEADLOCK" 1814 Transient true
        "send the command again when others write less there"
        "The server ended a transaction in favour of another one, again and again."
}

impl Code {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The code of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// Where a fault happened. Only what applies is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// The item's name, relative to the source or destination.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub path: Option<BytePath>,
    /// The field of the command, dotted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// The byte offset in the item.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<u64>,
}

/// One underlying failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// What was tried and failed, as a fragment.
    pub message: String,
    /// The system's error number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errno: Option<i32>,
}

/// The error object of `result` and `error` lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Stable code.
    pub code: Code,
    /// Its number.
    pub n: u16,
    /// Who can mend it.
    pub class: Class,
    /// Whether the same command may succeed later without change.
    pub retryable: bool,
    /// What happened, as a lower-case fragment, safe to print.
    pub message: String,
    /// Where it happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub at: Option<Box<At>>,
    /// What to do next.
    pub hint: String,
    /// Facts for programs.
    #[serde(skip_serializing_if = "Map::is_empty", default)]
    pub detail: Map<String, Value>,
    /// Underlying failures, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cause: Vec<Cause>,
}

/// Longest message or hint; what is longer is cut, so that every line stays bounded.
const TEXT_MAX_CHARS: usize = 600;

impl Fault {
    /// A fault with the registry's class, retry rule and hint.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let spec = code.spec();
        Self {
            code,
            n: spec.n,
            class: spec.class,
            retryable: spec.retryable,
            message: printable(&message.into()),
            at: None,
            hint: spec.hint.to_owned(),
            detail: Map::new(),
            cause: Vec::new(),
        }
    }

    /// With one more fact.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// With a hint for this very case instead of the registry's.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = printable(&hint.into());
        self
    }

    /// At a field of the command.
    #[must_use]
    pub fn at_field(mut self, field: impl Into<String>) -> Self {
        self.at.get_or_insert_default().field = Some(printable(&field.into()));
        self
    }

    /// At an item.
    #[must_use]
    pub fn at_path(mut self, bytes: &[u8]) -> Self {
        self.at.get_or_insert_default().path = Some(BytePath::new(bytes));
        self
    }

    /// With an underlying failure.
    #[must_use]
    pub fn caused_by(mut self, message: impl Into<String>, errno: Option<i32>) -> Self {
        self.cause.push(Cause { message: printable(&message.into()), errno });
        self
    }
}

/// A parser's message without the value it met: that may be a secret in the wrong place.
#[must_use]
pub fn without_values(text: &str) -> String {
    let kinds = ["invalid type: string \"", "invalid value: string \"", "unknown variant `"];
    let ends = ["\", expected ", "\", expected ", "`, expected "];
    for (kind, end) in kinds.into_iter().zip(ends) {
        if let (true, Some(at)) = (text.starts_with(kind), text.rfind(end)) {
            let rest = text.get(at + 1..).unwrap_or_default();
            return format!("{}{rest}", kind.trim_end_matches(['"', '`', ' ']));
        }
    }
    text.to_owned()
}

/// Whether a character acts on what is shown instead of being shown: control characters, and those
/// that turn the direction of text or break its lines.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with hidden characters escaped and its length bounded.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_MAX_CHARS));
    for (count, c) in text.chars().enumerate() {
        if count == TEXT_MAX_CHARS {
            out.push('…');
            break;
        }
        if is_hidden(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_unique_and_explained() {
        let mut names: Vec<_> = Code::ALL.iter().map(|c| c.name()).collect();
        let mut numbers: Vec<_> = Code::ALL.iter().map(|c| c.spec().n).collect();
        assert!(numbers.is_sorted(), "the registry is ordered by number");
        names.sort_unstable();
        names.dedup();
        numbers.dedup();
        assert_eq!((names.len(), numbers.len()), (Code::ALL.len(), Code::ALL.len()));
        for code in Code::ALL {
            let spec = code.spec();
            assert!(!spec.hint.is_empty() && spec.explanation.ends_with('.'), "{}", spec.name);
            assert_eq!(Code::from_name(spec.name), Some(*code));
            assert_eq!(serde_json::to_value(code).unwrap(), spec.name);
        }
    }

    #[test]
    fn values_are_left_out_of_messages() {
        let of = |text: &str| serde_json::from_str::<u64>(text).unwrap_err().to_string();
        let text = without_values(&of(r#""hun\"ter, expected 2""#));
        assert!(!text.contains("hun") && text.contains("expected u64"), "{text}");
        assert_eq!(
            without_values("unknown variant `x`, expected `a`"),
            "unknown variant, expected `a`"
        );
        assert_eq!(without_values("anything else"), "anything else");
    }

    #[test]
    fn text_is_bounded_and_has_no_control_characters() {
        let fault = Fault::new(Code::Internal, format!("a\u{1b}[31m\n{}", "x".repeat(5000)));
        assert!(fault.message.len() < 1000 && !fault.message.chars().any(char::is_control));
    }
}
