//! A list that may be longer than memory, written once and read once, in a file without a name: it
//! is gone with whoever made it.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::{EngineError, Result};
use crate::journal::state::{StateDir, unusable};

/// A list being written.
#[derive(Debug)]
pub struct List(BufWriter<File>);

/// A list being read.
#[derive(Debug)]
pub struct Listed(BufReader<File>);

fn failed(call: &'static str, error: &std::io::Error) -> EngineError {
    unusable(Path::new("of this job's list"), call, error)
}

impl List {
    /// An empty list, in the state directory or where temporary files go.
    ///
    /// # Errors
    /// `StateDir` when neither takes a file.
    pub fn new(state: Option<&StateDir>) -> Result<Self> {
        StateDir::nameless(state).map(|file| Self(BufWriter::new(file)))
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `StateDir` when it cannot be written, as when the disk is full.
    pub fn add(&mut self, record: &[u8]) -> Result<()> {
        let length = (record.len() as u32).to_le_bytes();
        let written = self.0.write_all(&length).and_then(|()| self.0.write_all(record));
        written.map_err(|error| failed("write", &error))
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// As [`List::add`].
    pub fn finish(self) -> Result<Listed> {
        let mut file = self.0.into_inner().map_err(|error| failed("write", error.error()))?;
        file.rewind().map_err(|error| failed("lseek", &error))?;
        Ok(Listed(BufReader::new(file)))
    }
}

impl Listed {
    /// The next record, in the order written; `None` at the end.
    ///
    /// # Errors
    /// `StateDir` when it cannot be read.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.0.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(|error| failed("read", &error))?,
        }
        let mut record = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut record).map_err(|error| failed("read", &error))?;
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_in_order_and_the_file_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let before = crate::platform::operator::names(dir.path()).unwrap().len();
        let mut list = List::new(Some(&state)).unwrap();
        for n in 0..5000u32 {
            list.add(&n.to_le_bytes().repeat(n as usize % 7)).unwrap();
        }
        let mut listed = list.finish().unwrap();
        for n in 0..5000u32 {
            assert_eq!(listed.take().unwrap().unwrap(), n.to_le_bytes().repeat(n as usize % 7));
        }
        assert_eq!(listed.take().unwrap(), None);
        assert_eq!(crate::platform::operator::names(dir.path()).unwrap().len(), before);
    }
}
