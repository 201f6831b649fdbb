//! What the system's error numbers mean on either side of a copy.

use rustix::io::Errno;

use crate::error::{EngineError, Kind};

/// A failed call on a source.
pub fn source(call: &'static str, errno: Errno) -> EngineError {
    let (kind, message) = match errno {
        Errno::NOENT => (Kind::SourceNotFound, "the source does not exist"),
        Errno::ACCESS | Errno::PERM => (Kind::SourcePermission, "the source may not be read"),
        Errno::LOOP | Errno::XDEV => (Kind::SourceLink, "the link cannot be followed"),
        Errno::NAMETOOLONG => (Kind::NameRefused, "the name is too long"),
        Errno::MFILE | Errno::NFILE => (Kind::Handles, "out of file handles"),
        _ => (Kind::SourceRead, "failed to read the source"),
    };
    EngineError::new(kind, message).because(call, Some(errno.raw_os_error()))
}

/// A failed call on a destination.
pub fn destination(call: &'static str, errno: Errno) -> EngineError {
    let (kind, message) = match errno {
        Errno::EXIST => (Kind::DestinationExists, "the destination exists"),
        Errno::ACCESS | Errno::PERM => {
            (Kind::DestinationPermission, "the destination may not be written")
        }
        Errno::NOSPC | Errno::DQUOT | Errno::FBIG => {
            (Kind::DestinationNoSpace, "the destination has no room")
        }
        Errno::ROFS => (Kind::DestinationReadOnly, "the destination is read-only"),
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NOTEMPTY => {
            (Kind::DestinationType, "another kind of thing stands at the destination")
        }
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => {
            (Kind::NameRefused, "the destination cannot hold this name")
        }
        Errno::MFILE | Errno::NFILE => (Kind::Handles, "out of file handles"),
        Errno::OPNOTSUPP => {
            (Kind::NoAtomicNoreplace, "the destination cannot publish a name without a race")
        }
        _ => (Kind::DestinationWrite, "failed to write the destination"),
    };
    EngineError::new(kind, message).because(call, Some(errno.raw_os_error()))
}

/// A failed write or sync of content: an invalid argument there is no bad name.
pub fn write(call: &'static str, errno: Errno) -> EngineError {
    match errno {
        Errno::INVAL | Errno::OPNOTSUPP | Errno::ISDIR => {
            EngineError::new(Kind::DestinationWrite, "failed to write the destination")
                .because(call, Some(errno.raw_os_error()))
        }
        _ => destination(call, errno),
    }
}
