//! Copies one span: by one transaction, in one go where no row is refused, and otherwise halved until
//! the refused rows stand alone.

use arrow_array::RecordBatch;

use crate::endpoint::rows::{
    LedgerJob, Reject, SpanReader, SpanReceipt, SpanWriter, TableSink, Write, WriteFault,
};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::limits::SPAN_ATTEMPTS;
use crate::model::rows::{Read, Rows, Span, Tally};
use crate::progress::{Spent, add};
use crate::table::cast::{self, Cast};
use crate::table::digest::Summer;
use crate::table::fit::{self, Fit};
use crate::table::lag::Lag;
use crate::table::mask::{self, Mask};
use crate::table::rejects::{Rejects, SpanRows};
use crate::table::shown::shown;

/// What copies spans of one table, and what they have in common.
pub struct Copier<'a> {
    /// The job.
    pub job: &'a Job,
    /// Where rows go.
    pub sink: &'a dyn TableSink,
    /// The job in the ledger.
    pub ledger: &'a LedgerJob,
    /// Where rejected rows go.
    pub rejects: &'a Rejects,
    /// How far replicas of the target may be behind.
    pub lag: Option<&'a Lag<'a>>,
}

/// What of one table is copied.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// What is read.
    pub read: &'a Read,
    /// What is written.
    pub write: &'a Write,
    /// How columns are hidden.
    pub masks: &'a [Option<Mask>],
    /// What their values are made to fit.
    pub fits: &'a [Vec<Fit>],
    /// What columns become.
    pub casts: &'a [Option<Cast>],
    /// Whether rows travel in the engine's own form.
    pub native: bool,
}

/// A session on each side, for one span after the other.
pub struct Sessions<'a> {
    /// Reads.
    pub reader: Box<dyn SpanReader + 'a>,
    /// Writes; made anew when its session broke.
    pub writer: Option<Box<dyn SpanWriter + 'a>>,
    /// Sums up.
    pub summer: Summer,
    /// Bytes in memory of the rows of the span that was copied last.
    pub bytes: u64,
}

/// Why a span was not copied in one go.
enum Halt {
    /// A row was refused: the span is done again, row by row where need be.
    Refused(EngineError),
    /// The transaction is lost.
    Again(EngineError),
    /// Nothing more is to be done.
    End(EngineError),
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Self {
        Self::End(error)
    }
}

impl From<WriteFault> for Halt {
    fn from(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Row(error) => Self::Refused(error),
            WriteFault::Span(error) => Self::Again(error),
            WriteFault::Job(error) => Self::End(error),
        }
    }
}

impl<'a> Copier<'a> {
    /// Copies a span; what was written is in the ledger when this returns.
    ///
    /// # Errors
    /// Those of both sides; `RejectLimit`; `Accounting` where rows were lost on the way.
    pub fn copy(
        &self,
        sessions: &mut Sessions<'a>,
        task: Task<'_>,
        span: &Span,
    ) -> Result<SpanReceipt> {
        let mut careful = false;
        let mut attempts = 0;
        loop {
            self.job.pass()?;
            let halted = match self.attempt(sessions, task, span, careful) {
                Ok(receipt) => {
                    add(&self.job.progress.rows, receipt.written.rows);
                    add(&self.job.progress.rows_rejected, receipt.rejected);
                    return Ok(receipt);
                }
                Err(halted) => halted,
            };
            match halted {
                Halt::Refused(_) if !careful => {
                    careful = true;
                    sessions.abandon();
                }
                Halt::Refused(error) => {
                    sessions.abandon();
                    return Err(late(error, task));
                }
                Halt::Again(error) => {
                    sessions.abandon();
                    sessions.writer = None;
                    attempts += 1;
                    if attempts >= SPAN_ATTEMPTS {
                        return Err(error);
                    }
                    add(&self.job.progress.retries, 1);
                    self.rest(attempts)?;
                }
                Halt::End(error) => {
                    sessions.abandon();
                    return Err(error);
                }
            }
        }
    }

    /// Waits longer each time, by a share that differs from job to job.
    fn rest(&self, attempts: u32) -> Result<()> {
        let spread = u64::from(crate::platform::host::nonce() as u8);
        let millis = (100u64 << attempts.min(6)) * (256 + spread) / 256;
        self.job.switch.sleep(std::time::Duration::from_millis(millis))
    }

    fn attempt(
        &self,
        sessions: &mut Sessions<'a>,
        task: Task<'_>,
        span: &Span,
        careful: bool,
    ) -> Result<SpanReceipt, Halt> {
        if sessions.writer.is_none() {
            sessions.writer = Some(self.sink.writer(self.ledger)?);
        }
        let Sessions { reader, writer: Some(writer), summer, bytes } = sessions else {
            return Err(EngineError::new(Kind::Internal, "a span has no writer").into());
        };
        *bytes = 0;
        let native = task.native && !careful;
        let started = std::time::Instant::now();
        reader.begin(task.read, &span.range)?;
        self.job.progress.spend(Spent::SourceRead, started.elapsed());
        writer.begin(task.write)?;
        let to = SpanRows { write: task.write, read: &task.read.cells, span: span.number };
        let mut written = Tally::default();
        let mut refused = Refused::default();
        let (mut read, mut uncast) = (0u64, Vec::new());
        loop {
            let started = std::time::Instant::now();
            let rows = reader.next(native)?;
            self.job.progress.spend(Spent::SourceRead, started.elapsed());
            let Some(rows) = rows else { break };
            let rows = mask::apply(rows, task.masks)?;
            let rows = fit::apply(rows, task.fits, &mut written.changed)?;
            self.job.take_bytes(rows.bytes() as u64)?;
            self.job.take_rows(rows.count() as u64)?;
            self.lag.map_or(Ok(()), |lag| lag.pass(self.job))?;
            add(&self.job.progress.bytes_done, rows.bytes() as u64);
            *bytes += rows.bytes() as u64;
            let done = cast::apply(rows, task.casts)?;
            written.changed += done.changed;
            uncast.extend(done.rejected);
            if self.rejects.is_beyond(uncast.len()) {
                // Told now: nobody keeps more of them than may be.
                self.rejects.add(&to, &uncast)?;
            }
            let mut hand = Hand { writer: &mut **writer, summer, tally: &mut written };
            for rows in &done.rows {
                read += rows.count() as u64;
                match rows {
                    Rows::Batch(batch) if careful => hand.carefully(batch, &mut refused)?,
                    rows => self.plainly(&mut hand, rows)?,
                }
            }
        }
        let misfits = reader.misfits();
        written.changed += misfits.changed;
        refused.account(read, &written)?;
        refused.join(summer, misfits.rejected, uncast, task);
        // What the engine says of the last rows comes before any is filed.
        writer.settle()?;
        self.rejects.add(&to, &refused.rows)?;
        let receipt = SpanReceipt {
            table: task.write.table.clone(),
            span: span.clone(),
            written,
            rejected: refused.rows.len() as u64,
            refused: refused.digest,
            native,
            ..SpanReceipt::default()
        };
        let started = std::time::Instant::now();
        writer.commit(&receipt)?;
        self.job.progress.spend(Spent::Sync, started.elapsed());
        Ok(receipt)
    }

    fn plainly(&self, hand: &mut Hand<'_, '_>, rows: &Rows) -> Result<(), Halt> {
        let started = std::time::Instant::now();
        let digest = hand.summer.sum(rows)?;
        self.job.progress.spend(Spent::Hash, started.elapsed());
        let started = std::time::Instant::now();
        hand.writer.write(rows)?;
        self.job.progress.spend(Spent::DestinationWrite, started.elapsed());
        hand.count(rows.count(), digest);
        Ok(())
    }
}

/// A refusal that came with the end of the span: which row it was, nobody says.
fn late(error: EngineError, task: Task<'_>) -> EngineError {
    let told = "a rule of the table is looked at as the transaction ends, too late to tell the row";
    let hint = match &error.parts().hint {
        Some(hint) => format!("{told}; {hint}"),
        None => format!("{told}: mend the rows, or have the rule looked at with each row"),
    };
    error.at(task.write.table.shown()).hint(hint)
}

impl Sessions<'_> {
    fn abandon(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.abandon();
        }
    }
}

/// Rows of a span that are not written.
#[derive(Default)]
struct Refused {
    rows: Vec<Reject>,
    /// Sum of their digests as they were read.
    digest: u128,
}

impl Refused {
    /// Every row that was handed on was written or refused.
    fn account(&self, read: u64, written: &Tally) -> Result<()> {
        let refused = self.rows.len() as u64;
        if read == written.rows + refused {
            return Ok(());
        }
        let message =
            format!("{read} rows were read, {} written and {refused} refused", written.rows);
        Err(EngineError::new(Kind::Accounting, message))
    }

    /// Takes the rows that no reader carried and those that no cast took.
    fn join(
        &mut self,
        summer: &mut Summer,
        misfits: Vec<Reject>,
        uncast: Vec<Reject>,
        task: Task<'_>,
    ) {
        for mut misfit in misfits {
            self.add(of_misfit(summer, &misfit));
            mask::hide(&mut misfit.row, &task.read.cells, task.masks);
            self.rows.push(misfit);
        }
        for uncast in uncast {
            self.add(of_misfit(summer, &uncast));
            self.rows.push(uncast);
        }
    }

    fn add(&mut self, digest: u128) {
        self.digest = self.digest.wrapping_add(digest);
    }
}

/// The digest of a row that the reader could not carry.
pub fn of_misfit(summer: &mut Summer, misfit: &Reject) -> u128 {
    summer.cells(misfit.row.iter().map(|(_, cell)| cell.as_deref()))
}

struct Hand<'a, 'w> {
    writer: &'a mut (dyn SpanWriter + 'w),
    summer: &'a mut Summer,
    tally: &'a mut Tally,
}

impl Hand<'_, '_> {
    fn count(&mut self, rows: usize, digest: u128) {
        self.tally.rows += rows as u64;
        self.tally.digest = self.tally.digest.wrapping_add(digest);
    }

    /// Writes what the engine takes of a batch, and collects what it does not.
    fn carefully(&mut self, batch: &RecordBatch, refused: &mut Refused) -> Result<(), Halt> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = Rows::Batch(batch.clone());
        self.writer.savepoint()?;
        let taken = self.writer.write(&rows).and_then(|()| self.writer.settle());
        match taken {
            Ok(()) => {
                let digest = self.summer.sum(&rows)?;
                self.count(batch.num_rows(), digest);
                Ok(())
            }
            Err(WriteFault::Row(error)) => {
                self.writer.back()?;
                if batch.num_rows() == 1 {
                    refused.add(self.summer.sum(&rows)?);
                    refused.rows.push(rejected(batch, error)?);
                    return Ok(());
                }
                let half = batch.num_rows() / 2;
                self.carefully(&batch.slice(0, half), refused)?;
                self.carefully(&batch.slice(half, batch.num_rows() - half), refused)
            }
            Err(fault) => Err(fault.into()),
        }
    }
}

/// The only row of a batch, as text and bytes.
fn rejected(batch: &RecordBatch, error: EngineError) -> Result<Reject> {
    let column = error.parts().field.clone().unwrap_or_default();
    let schema = batch.schema();
    let mut row = Vec::with_capacity(batch.num_columns());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let value = shown(array.as_ref(), 0)?;
        row.push((field.name().clone(), value));
    }
    Ok(Reject { row, column, error })
}
