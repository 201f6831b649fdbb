//! The directory: names in it, and small files that are whole or not there.

use std::fs::File;
use std::io::{Read as _, Write as _};

use rustix::io::Errno;

use crate::endpoint::flat::escape::Form;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::platform::dir::Dir;
use crate::platform::host;

/// Longest name of a file, bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest small file, bytes.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// A directory of tables.
#[derive(Debug)]
pub struct Store {
    /// The directory.
    pub dir: Dir,
    /// What its files hold.
    pub form: Form,
}

impl Store {
    /// The error of a call.
    #[must_use]
    pub fn failed(doing: &'static str, name: &[u8], errno: Errno) -> EngineError {
        let kind = match errno {
            Errno::ACCESS | Errno::PERM => Kind::DestinationPermission,
            Errno::NOSPC | Errno::DQUOT => Kind::DestinationNoSpace,
            Errno::ROFS => Kind::DestinationReadOnly,
            Errno::EXIST => Kind::DestinationExists,
            Errno::LOOP | Errno::ISDIR | Errno::NOTDIR => Kind::DestinationType,
            _ => Kind::DestinationWrite,
        };
        EngineError::new(kind, doing).at(name).because("the system", Some(errno.raw_os_error()))
    }

    /// As [`Store::failed`], of a call of the standard library's.
    #[must_use]
    pub fn failed_io(doing: &'static str, name: &[u8], error: &std::io::Error) -> EngineError {
        let errno = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
        Self::failed(doing, name, Errno::from_raw_os_error(errno))
    }

    /// The name of a table's file: what no name of a file may hold is `%` and two hex digits.
    ///
    /// # Errors
    /// `NameRefused` for one that is too long.
    pub fn file_name(&self, table: &TableName) -> Result<Vec<u8>> {
        let mut name = String::new();
        for (at, c) in table.shown().char_indices() {
            if matches!(c, '/' | '%' | '\0'..='\x1f' | '\x7f') || (at == 0 && c == '.') {
                name.push_str(&format!("%{:02x}", u32::from(c)));
            } else {
                name.push(c);
            }
        }
        name.push_str(self.form.ending());
        if name.len() > NAME_BYTES_MAX || table.name.is_empty() {
            return Err(EngineError::new(Kind::NameRefused, "no file can have the table's name")
                .at(table.shown()));
        }
        Ok(name.into_bytes())
    }

    /// The table of a file's name; `None` for a file that is none.
    #[must_use]
    pub fn table_of(&self, name: &[u8]) -> Option<TableName> {
        let name = std::str::from_utf8(name).ok()?.strip_suffix(self.form.ending())?;
        if name.starts_with('.') || name.is_empty() {
            return None;
        }
        let mut parts = name.split('%');
        let mut shown = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (digits, rest) = part.split_at_checked(2)?;
            shown.push(char::from(u8::from_str_radix(digits, 16).ok()?));
            shown.push_str(rest);
        }
        Some(TableName { schema: String::new(), name: shown })
    }

    /// A name that nobody has, beginning with this.
    #[must_use]
    pub fn temporary(prefix: &str) -> String {
        format!("{prefix}{:016x}.part", host::nonce())
    }

    /// Gives a file of ours its name, in place of an earlier one of ours.
    ///
    /// # Errors
    /// Those of the system.
    pub fn put(&self, from: &str, to: &str) -> Result<()> {
        self.dir
            .publish_over(from.as_bytes(), to.as_bytes(), |_| true, |_| true)
            .map(|_| ())
            .map_err(|errno| Self::failed("failed to name a file", to.as_bytes(), errno))
    }

    /// Writes a small file whole, in place of an earlier one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn put_small(&self, prefix: &str, name: &str, text: &str) -> Result<()> {
        let temporary = Self::temporary(prefix);
        let failed = |error: &std::io::Error| {
            Self::failed_io("failed to write a record", name.as_bytes(), error)
        };
        let file = self.dir.create_file(temporary.as_bytes());
        let mut file = File::from(file.map_err(|errno| failed(&errno.into()))?);
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| failed(&error))?;
        self.put(&temporary, name)
    }

    /// A small file's text; `None` where it is not there.
    ///
    /// # Errors
    /// Those of the system.
    pub fn small(&self, name: &str) -> Result<Option<String>> {
        let failed = |error: &std::io::Error| {
            Self::failed_io("failed to read a record", name.as_bytes(), error)
        };
        let file = match self.dir.open_file(name.as_bytes()) {
            Err(Errno::NOENT) => return Ok(None),
            file => File::from(file.map_err(|errno| failed(&errno.into()))?),
        };
        let mut text = String::new();
        file.take(SMALL_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
        Ok(Some(text))
    }

    /// The names that begin with this, in order.
    ///
    /// # Errors
    /// Those of the system.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        // A handle of its own: a listing has a place, and several may be under way.
        let listed = self.dir.open_dir(b".").and_then(|dir| {
            dir.each_entry(|name, _| {
                let name = std::str::from_utf8(name).ok().filter(|name| name.starts_with(prefix));
                names.extend(name.map(str::to_owned));
                true
            })
        });
        listed.map_err(|errno| Self::failed("failed to list the directory", b".", errno))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file; one that is gone is as good.
    ///
    /// # Errors
    /// Those of the system.
    pub fn remove(&self, name: &[u8]) -> Result<()> {
        match self.dir.remove(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Self::failed("failed to remove a file", name, errno)),
        }
    }

    /// Makes the names durable.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.dir)
            .map_err(|errno| Self::failed("failed to sync the directory", b".", errno))
    }
}
