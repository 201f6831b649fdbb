//! The full list of a job's failures, as JSON Lines, where the result's own list is cut.

use std::io::Write as _;
use std::path::PathBuf;

use crate::limits::REPORT_BUFFERED;
use crate::platform::operator;

/// A report that is begun once failures are many.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    waiting: Vec<u8>,
    count: usize,
    file: Option<std::io::BufWriter<std::fs::File>>,
    broken: bool,
}

impl Report {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, waiting: Vec::new(), count: 0, file: None, broken: false }
    }

    /// Adds one failure, as a line without its end. A report that cannot be written is given up,
    /// and the result names none.
    pub fn add(&mut self, mut line: Vec<u8>) {
        self.count += 1;
        line.push(b'\n');
        let written = match &mut self.file {
            Some(file) => file.write_all(&line),
            None if self.count <= REPORT_BUFFERED => {
                self.waiting.extend_from_slice(&line);
                Ok(())
            }
            None => self.begin(&line),
        };
        self.broken |= written.is_err();
    }

    fn begin(&mut self, line: &[u8]) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(operator::create_private(&self.path)?);
        file.write_all(&std::mem::take(&mut self.waiting))?;
        file.write_all(line)?;
        self.file = Some(file);
        Ok(())
    }

    /// Ends the report. Returns its path where it was begun, or where `needed` asks for it.
    #[must_use]
    pub fn finish(mut self, needed: bool) -> Option<Vec<u8>> {
        if self.file.is_none() && needed && !self.broken {
            self.broken |= self.begin(b"").is_err();
        }
        let flushed = self.file.as_mut()?.flush().is_ok();
        let path = self.path.into_os_string().into_encoded_bytes();
        (flushed && !self.broken).then_some(path)
    }
}
