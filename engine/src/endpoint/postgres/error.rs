//! What a session's calls end with, and what that means: SQLSTATE to the engine's own kinds
//! ("PostgreSQL Error Codes" in its manual).

use crate::endpoint::rows::WriteFault;
use crate::error::{EngineError, Kind};
use crate::remote::call::{Class, Failure, Side, Verb};

/// Longest message of a server that is kept, characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// What to do about a lock of others.
const LOCKED: &str = "another session holds the lock: SELECT pid, usename, state, query, \
    pg_blocking_pids(pid) FROM pg_stat_activity shows whose; or wait longer with lock_timeout_s";
/// What to do about a statement that was stopped.
const STOPPED: &str = "the statement took longer than statement_timeout_s, or a person stopped it";

/// A call of a session that came to nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection, or what came over it.
    Wire(Failure),
    /// The server's refusal. The session goes on, its transaction does not.
    Sql(Box<SqlError>),
    /// Something of ours.
    Engine(EngineError),
}

/// `Result` of a session's call.
pub(super) type Done<T> = Result<T, Fault>;

/// A server's refusal.
#[derive(Clone, Debug, Default)]
pub(super) struct SqlError {
    /// SQLSTATE: five letters and digits.
    pub(super) state: String,
    /// The server's words, cut, without control characters.
    pub(super) message: String,
    /// The table or column it is about; empty where it says none.
    pub(super) column: String,
    /// Whether the session is over.
    pub(super) fatal: bool,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Wire(failure)
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What cannot be understood.
pub(super) fn garbled(message: &str) -> Fault {
    Fault::Wire(failure(Class::Garbled, message))
}

/// A connection that ended.
pub(super) fn ended() -> Fault {
    Fault::Wire(failure(Class::Transient, "the server closed the connection"))
}

/// A failure of the connection that the server tells by its own words.
pub(super) fn failure(class: Class, message: &str) -> Failure {
    Failure {
        class,
        status: None,
        code: String::new(),
        message: message.to_owned(),
        errno: None,
        unsure: false,
        retry_after: None,
    }
}

impl SqlError {
    /// Reads the fields of an `ErrorResponse`.
    pub(super) fn parse(payload: &[u8]) -> Self {
        let mut found = Self::default();
        for field in payload.split(|byte| *byte == 0) {
            let Some((tag, value)) = field.split_first() else { break };
            let value = shown(value);
            match tag {
                b'C' => found.state = value,
                b'M' => found.message = value,
                b'c' => found.column = value,
                b'V' => found.fatal = matches!(value.as_str(), "FATAL" | "PANIC"),
                _ => {}
            }
        }
        found
    }

    /// What it means.
    pub(super) fn kind(&self, side: Side) -> Kind {
        let writes = side == Side::Destination;
        match self.state.as_str() {
            "3D000" => Kind::DatabaseNotFound,
            "42501" => Kind::DatabasePermission,
            "25006" => Kind::DestinationReadOnly,
            "53100" if writes => Kind::DestinationNoSpace,
            "40001" | "40P01" => Kind::Deadlock,
            "55P03" => Kind::Locked,
            "57014" => Kind::RemoteTimeout,
            "42P01" | "3F000" => Kind::TableNotFound,
            "42703" | "42P10" | "42804" => Kind::SchemaMismatch,
            "21000" | "44000" | "54000" | "P0001" if writes => Kind::RowRefused,
            "0A000" => Kind::Unsupported,
            state => match state.get(..2).unwrap_or_default() {
                "28" => Kind::CredentialsRefused,
                "22" | "23" if writes => Kind::RowRefused,
                "22" => Kind::ValueRefused,
                "08" | "53" => Kind::RemoteUnavailable,
                "57" if state.starts_with("57P0") => Kind::RemoteUnavailable,
                _ => Kind::DatabaseRefused,
            },
        }
    }
}

fn shown(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.chars().take(MESSAGE_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Fault {
    /// As the engine's error. `doing` is a fragment such as "failed to read the table".
    pub(super) fn error(self, side: Side, doing: &str) -> EngineError {
        match self {
            Self::Engine(error) => error,
            Self::Wire(failure) => {
                let verb = if side == Side::Source { Verb::Read } else { Verb::Write };
                failure.error(side, verb, doing)
            }
            Self::Sql(error) => {
                let cause = format!("SQLSTATE {}: {}", error.state, error.message);
                let made = EngineError::new(error.kind(side), doing.to_owned());
                let made = made.because(cause, None);
                match error.state.as_str() {
                    "55P03" => made.hint(LOCKED),
                    "57014" => made.hint(STOPPED),
                    _ => made,
                }
            }
        }
    }

    /// As what a writer ends with.
    pub(super) fn written(self, doing: &str) -> WriteFault {
        let error = self.error(Side::Destination, doing);
        match error.kind() {
            Kind::RowRefused | Kind::ValueRefused | Kind::RowTooLarge => WriteFault::Row(error),
            // The lock may be another span's: it goes with this one's transaction.
            Kind::Deadlock
            | Kind::Locked
            | Kind::RemoteUnavailable
            | Kind::RemoteTimeout
            | Kind::RemoteAnswer
            | Kind::Throttled => WriteFault::Span(error),
            _ => WriteFault::Job(error),
        }
    }

    /// The server's SQLSTATE; empty for anything else.
    pub(super) fn state(&self) -> &str {
        match self {
            Self::Sql(error) => &error.state,
            _ => "",
        }
    }

    /// Whether the session is of no use any more.
    pub(super) fn ends_session(&self) -> bool {
        match self {
            Self::Wire(_) => true,
            Self::Sql(error) => error.fatal,
            Self::Engine(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(state: &str) -> SqlError {
        SqlError { state: state.to_owned(), ..SqlError::default() }
    }

    #[test]
    fn states_become_kinds() {
        for (state, kind) in [
            ("28P01", Kind::CredentialsRefused),
            ("3D000", Kind::DatabaseNotFound),
            ("42501", Kind::DatabasePermission),
            ("25006", Kind::DestinationReadOnly),
            ("53100", Kind::DestinationNoSpace),
            ("40P01", Kind::Deadlock),
            ("55P03", Kind::Locked),
            ("57014", Kind::RemoteTimeout),
            ("22001", Kind::RowRefused),
            ("23505", Kind::RowRefused),
            ("57P01", Kind::RemoteUnavailable),
            ("08006", Kind::RemoteUnavailable),
            ("42P01", Kind::TableNotFound),
            ("42601", Kind::DatabaseRefused),
            ("", Kind::DatabaseRefused),
            ("é", Kind::DatabaseRefused),
        ] {
            assert_eq!(of(state).kind(Side::Destination), kind, "{state}");
        }
        assert_eq!(of("22P02").kind(Side::Source), Kind::ValueRefused);
    }

    #[test]
    fn fields_of_refusals_are_read_and_cleaned() {
        let error = SqlError::parse(b"SERROR\0VFATAL\0C57P01\0Mgo\x1b away\0cid\0\0");
        assert_eq!((error.state.as_str(), error.message.as_str()), ("57P01", "go  away"));
        assert!(error.fatal);
        for hostile in [&b""[..], b"\0", b"C", b"M\xff\xfe", b"Vxxxx"] {
            drop(SqlError::parse(hostile));
        }
    }
}
