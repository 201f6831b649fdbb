//! Writes spans, each into a piece of its own.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

use arrow_array::RecordBatch;

use crate::endpoint::flat::cell;
use crate::endpoint::flat::ledger::{self, Names};
use crate::endpoint::flat::store::Store;
use crate::endpoint::rows::{LedgerJob, Meets, SpanReceipt, SpanWriter, Write, WriteFault};
use crate::error::{EngineError, Kind, Result};
use crate::model::rows::Rows;

/// Bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A writer.
pub struct Writer<'a> {
    store: &'a Store,
    job: LedgerJob,
    open: Option<Open>,
}

struct Open {
    write: Write,
    name: String,
    file: File,
    buffer: Vec<u8>,
    /// Bytes in the file.
    length: u64,
    savepoint: u64,
}

impl<'a> Writer<'a> {
    /// A writer for a job.
    #[must_use]
    pub fn new(store: &'a Store, job: LedgerJob) -> Self {
        Self { store, job, open: None }
    }

    fn opened(&mut self) -> Result<&mut Open, WriteFault> {
        let closed = || EngineError::new(Kind::Internal, "no span was begun");
        self.open.as_mut().ok_or_else(|| WriteFault::Job(closed()))
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            // It is found by its form where it stays.
            let _ = self.store.remove(open.name.as_bytes());
        }
    }

    fn committed(&mut self, receipt: &SpanReceipt) -> Result<()> {
        let Some(open) = self.open.as_mut() else {
            return Err(EngineError::new(Kind::Internal, "no span was begun"));
        };
        open.flush()?;
        open.file.sync_all().map_err(|error| open.failed(&error))?;
        let mut locked = ledger::lock(self.store, &self.job.job)?;
        locked.fence(&self.job)?;
        let piece = locked.names.piece(&receipt.table, receipt.span.number);
        self.store.put(&open.name, &piece)?;
        self.open = None;
        locked.record(self.store, receipt)?;
        self.store.sync()
    }
}

impl Open {
    fn failed(&self, error: &std::io::Error) -> EngineError {
        Store::failed_io("failed to write a piece", self.name.as_bytes(), error)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.buffer).map_err(|error| self.failed(&error))?;
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn add(&mut self, store: &Store, batch: &RecordBatch) -> Result<()> {
        for (cell, array) in self.write.cells.iter().zip(batch.columns()) {
            cell::check(&cell.kind, array)?;
        }
        let mut scratch = String::new();
        for row in 0..batch.num_rows() {
            for (at, (cell, array)) in self.write.cells.iter().zip(batch.columns()).enumerate() {
                store.form.before(&mut self.buffer, at, &cell.name);
                let sort = cell::write(store.form, &cell.kind, array, row, &mut scratch);
                store.form.value(&mut self.buffer, sort, &scratch);
            }
            store.form.end(&mut self.buffer, self.write.cells.len());
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        self.buffer.clear();
        let cut = self.file.set_len(self.savepoint);
        let cut = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.savepoint)));
        cut.map_err(|error| self.failed(&error))?;
        self.length = self.savepoint;
        Ok(())
    }
}

impl SpanWriter for Writer<'_> {
    fn begin(&mut self, write: &Write) -> Result<(), WriteFault> {
        self.end();
        if write.meets != Meets::Insert {
            let message = "a file cannot be merged into";
            return Err(WriteFault::Job(EngineError::new(Kind::Unsupported, message)));
        }
        let name = Store::temporary(&Names::of(&self.job.job).table(&write.table));
        let file = self.store.dir.create_file(name.as_bytes()).map_err(|errno| {
            WriteFault::Job(Store::failed("failed to begin a piece", name.as_bytes(), errno))
        })?;
        let (file, buffer) = (File::from(file), Vec::with_capacity(BUFFER_BYTES));
        self.open =
            Some(Open { write: write.clone(), name, file, buffer, length: 0, savepoint: 0 });
        Ok(())
    }

    fn write(&mut self, rows: &Rows) -> Result<(), WriteFault> {
        let store = self.store;
        let open = self.opened()?;
        let Rows::Batch(batch) = rows else {
            let message = "rows of another engine's own form";
            return Err(WriteFault::Job(EngineError::new(Kind::Internal, message)));
        };
        open.add(store, batch).map_err(WriteFault::Job)
    }

    fn savepoint(&mut self) -> Result<(), WriteFault> {
        let open = self.opened()?;
        open.flush().map_err(WriteFault::Job)?;
        open.savepoint = open.length;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), WriteFault> {
        self.opened().map(|_| ())
    }

    fn back(&mut self) -> Result<(), WriteFault> {
        self.opened()?.cut().map_err(WriteFault::Job)
    }

    fn commit(&mut self, receipt: &SpanReceipt) -> Result<(), WriteFault> {
        self.committed(receipt).map_err(WriteFault::Job)
    }

    fn abandon(&mut self) {
        self.end();
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
