//! What kept a server from doing what was asked, in the engine's words.

use crate::endpoint::rows::WriteFault;
use crate::error::{EngineError, Kind};
use crate::remote::call::{Failure, Side, Verb};

/// Longest text of a server's that is shown, characters.
const SHOWN: usize = 512;

/// What to do about a lock of others.
const LOCKED: &str = "another session holds the lock: SHOW FULL PROCESSLIST and \
    information_schema.INNODB_TRX show whose; or wait longer with lock_timeout_s";
/// What to do about a statement that was stopped.
const STOPPED: &str = "the statement took longer than statement_timeout_s, or a person stopped it";

/// A refusal of the server, or the loss of it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// The server's number for it; 0 where it was not the server who said so.
    pub number: u16,
    /// What it is.
    pub error: EngineError,
}

/// `Result` with [`Fault`].
pub(super) type Asked<T> = std::result::Result<T, Fault>;

impl From<Fault> for EngineError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        Self { number: 0, error }
    }
}

impl Fault {
    /// A failure of the connection.
    pub(super) fn lost(failure: &Failure, doing: &str) -> Self {
        failure.error(Side::Source, Verb::Control, doing).into()
    }

    /// What no server may answer.
    pub(super) fn garbled(what: &str) -> Self {
        EngineError::new(Kind::RemoteAnswer, what.to_owned()).into()
    }

    /// A refusal by its number and text.
    pub(super) fn refused(number: u16, message: &[u8]) -> Self {
        let error = EngineError::new(kind(number), shown(message))
            .because(format!("the server's error {number}"), None);
        let error = match number {
            1040 | 1203 | 1226 => error.hint("the server takes no more connections"),
            1205 | 3572 => error.hint(LOCKED),
            1317 | 1969 | 3024 => error.hint(STOPPED),
            _ => error,
        };
        Self { number, error }
    }

    /// Whether the connection can still be used.
    pub(super) fn is_lost(&self) -> bool {
        use Kind::{Cancelled, RemoteAnswer, RemoteTimeout, RemoteUnavailable, RowTooLarge};
        let kind = self.error.kind();
        (self.number == 0
            && matches!(
                kind,
                Cancelled | RemoteAnswer | RemoteTimeout | RemoteUnavailable | RowTooLarge
            ))
            || (self.number != 0 && kind == RemoteUnavailable)
    }

    /// As a writer tells it.
    pub(super) fn writing(self) -> WriteFault {
        match self.error.kind() {
            Kind::RowRefused | Kind::RowTooLarge => WriteFault::Row(self.error),
            // The lock may be another span's: it goes with this one's transaction.
            Kind::Deadlock | Kind::Locked | Kind::RemoteUnavailable | Kind::RemoteTimeout => {
                WriteFault::Span(self.error)
            }
            _ => WriteFault::Job(self.error),
        }
    }
}

/// The text of a server without control characters, cut.
fn shown(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(SHOWN).collect()
}

/// What an error number means. MySQL's "Server Error Message Reference", MariaDB's "Error Codes".
fn kind(number: u16) -> Kind {
    match number {
        1045 | 1130 | 1251 | 1524 | 1698 | 4151 => Kind::CredentialsRefused,
        1820 | 1862 => Kind::CredentialsExpired,
        1049 => Kind::DatabaseNotFound,
        1044 | 1142 | 1143 | 1227 | 1370 | 1410 | 1419 => Kind::DatabasePermission,
        1290 | 1792 | 1836 => Kind::DestinationReadOnly,
        3 | 1021 | 1041 | 1114 => Kind::DestinationNoSpace,
        1213 => Kind::Deadlock,
        1205 | 3572 => Kind::Locked,
        1040
        | 1053
        | 1077..=1080
        | 1152
        | 1158..=1161
        | 1184
        | 1203
        | 1226
        | 1927
        | 2006
        | 2013
        | 4031 => Kind::RemoteUnavailable,
        1317 | 1969 | 3024 => Kind::RemoteTimeout,
        1109 | 1146 => Kind::TableNotFound,
        1153 | 1301 => Kind::RowTooLarge,
        1048
        | 1062
        | 1169
        | 1216
        | 1217
        | 1261..=1265
        | 1292
        | 1300
        | 1364
        | 1366
        | 1367
        | 1406
        | 1411
        | 1416
        | 1451
        | 1452
        | 1525
        | 1526
        | 1586
        | 1644
        | 1690
        | 1761
        | 1762
        | 1859
        | 3037
        | 3140
        | 3141
        | 3156
        | 3819
        | 4025 => Kind::RowRefused,
        _ => Kind::DatabaseRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_what_to_do() {
        let kind = |number| Fault::refused(number, b"x\x1b[31m").error.kind();
        assert_eq!(kind(1045), Kind::CredentialsRefused);
        assert_eq!(kind(1213), Kind::Deadlock);
        assert_eq!((kind(1205), kind(1969)), (Kind::Locked, Kind::RemoteTimeout));
        assert_eq!(kind(1062), Kind::RowRefused);
        assert_eq!(kind(1064), Kind::DatabaseRefused);
        assert!(!Fault::refused(1, b"a\x1b[31m").error.to_string().contains('\x1b'));
        assert!(matches!(Fault::refused(1213, b"").writing(), WriteFault::Span(_)));
        assert!(matches!(Fault::refused(1406, b"").writing(), WriteFault::Row(_)));
        assert!(matches!(Fault::refused(1064, b"").writing(), WriteFault::Job(_)));
    }
}
