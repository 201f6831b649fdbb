//! Writes spans: each by one transaction that ends with its row of the ledger.

use std::time::Duration;

use arrow_array::RecordBatch;

use crate::endpoint::rows::{LedgerJob, Meets, SpanReceipt, SpanWriter, Write, WriteFault};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};
use crate::model::rows::{Cell, Rows};

use super::dialect::Mysql;
use super::encode::Field;
use super::error::Fault;
use super::facts::{self, Facts};
use super::merge::Merge;
use super::session::{Role, Session};
use super::sink::{Sink, fence};
use super::{insert, load};

/// How often the ledger is asked for a commit whose answer was lost, and how long between.
const PROBES: u32 = 12;
const PROBE_WAIT: Duration = Duration::from_secs(5);
/// The number of a key that is there already.
const DUPLICATE: u16 = 1062;

/// A session that writes spans.
pub(super) struct Writer<'a> {
    sink: &'a Sink,
    job: LedgerJob,
    session: Session,
    by_load: bool,
    /// Bytes of a statement at most.
    packet: usize,
    plan: Option<Plan>,
    /// Whether rows were refused that nobody has gone back from.
    tainted: bool,
}

/// How one table is written.
struct Plan {
    write: Write,
    fields: Vec<Field>,
    merge: Option<Merge>,
    /// The load, or the head of an insert.
    statement: String,
}

impl Plan {
    /// Makes the statement that fills the table, or what stands for it.
    fn choose(&mut self, by_load: bool) -> Result<()> {
        let table = match &self.merge {
            Some(merge) => merge.stage.to_owned(),
            None => Mysql::NAMES.quote_table(&self.write.table)?,
        };
        self.statement = match by_load {
            true => load::statement(&table, &self.fields)?,
            false => insert::statement(&table, &self.fields)?,
        };
        Ok(())
    }
}

impl<'a> Writer<'a> {
    pub(super) fn open(sink: &'a Sink, job: &LedgerJob) -> Result<Self> {
        let (session, by_load, packet) = connected(sink)?;
        let (plan, tainted) = (None, false);
        Ok(Self { sink, job: job.clone(), session, by_load, packet, plan, tainted })
    }

    fn prepared(&mut self, write: &Write) -> Result<()> {
        if self.session.is_lost() || self.session.is_open() {
            (self.session, self.by_load, self.packet) = connected(self.sink)?;
            self.plan = None;
        } else {
            self.session.run("ROLLBACK")?;
        }
        if self.plan.as_ref().is_some_and(|plan| plan.write == *write) {
            return Ok(());
        }
        let keys = if write.own { 0 } else { 1 };
        self.session.run(&format!("SET SESSION foreign_key_checks = {keys}"))?;
        facts::check_transactions(&mut self.session, &write.table)?;
        let facts = Facts::of(&mut self.session, &write.table)?;
        let field = |cell: &Cell| Ok(Field::new(facts.column(&cell.name)?, cell));
        let fields: Vec<Field> = write.cells.iter().map(field).collect::<Result<_>>()?;
        let merge = (write.meets == Meets::Merge).then(|| Merge::of(write)).transpose()?;
        for statement in merge.iter().flat_map(|merge| &merge.make) {
            self.session.run(statement)?;
        }
        let mut plan = Plan { write: write.clone(), fields, merge, statement: String::new() };
        plan.choose(self.by_load)?;
        self.plan = Some(plan);
        Ok(())
    }

    fn put(&mut self, batch: &RecordBatch) -> Result<(), WriteFault> {
        let Self { session, plan: Some(plan), by_load, packet, .. } = self else {
            return Err(WriteFault::Job(EngineError::new(Kind::Internal, "no span was begun")));
        };
        let run = |session: &mut Session, statement: &str| {
            session.run(statement).map(|_| ()).map_err(Fault::writing)
        };
        if let Some(merge) = &plan.merge {
            run(session, &merge.empty)?;
        }
        if *by_load && !load::load(session, &plan.statement, &plan.fields, batch)? {
            *by_load = false;
            plan.choose(false).map_err(WriteFault::Job)?;
        }
        if !*by_load {
            insert::insert(session, &plan.statement, &plan.fields, batch, *packet)?;
        }
        for statement in plan.merge.iter().flat_map(|merge| &merge.apply) {
            run(session, statement)?;
        }
        Ok(())
    }

    fn run(&mut self, statement: &str) -> Result<(), WriteFault> {
        self.session.run(statement).map(|_| ()).map_err(Fault::writing)
    }

    /// Whether a commit whose answer was lost took place. The old session is ended first; what it
    /// still holds is waited for, since its row of the ledger is asked for with a lock.
    fn probe(&mut self, receipt: &SpanReceipt) -> Result<bool> {
        let lock = self.sink.dialect.share_lock();
        let find = format!("{}{lock}", self.sink.ledger().find(&self.job, receipt)?);
        let mut asked = Err(EngineError::new(Kind::RemoteUnavailable, "the server is gone"));
        for attempt in 0..PROBES {
            if attempt > 0 {
                self.sink.ties.switch.sleep(PROBE_WAIT)?;
            }
            asked = self.sink.session(Role::Define).and_then(|mut session| {
                let _ = session.run(&format!("KILL {}", self.session.server.id));
                Ok(!session.lines(&find)?.is_empty())
            });
            if asked.is_ok() {
                break;
            }
        }
        asked
    }
}

/// A session that writes, whether it may load, and how long its statements may be.
fn connected(sink: &Sink) -> Result<(Session, bool, usize)> {
    let mut session = sink.session(Role::Write)?;
    let lines = session.lines("SELECT @@global.local_infile, @@session.max_allowed_packet")?;
    let mut parts = lines.into_iter().flatten().flatten();
    let by_load = parts.next().is_some_and(|on| on == "1");
    let packet = parts.next().and_then(|bytes| bytes.parse().ok()).unwrap_or(1 << 20);
    Ok((session, by_load, packet))
}

impl SpanWriter for Writer<'_> {
    fn begin(&mut self, write: &Write) -> Result<(), WriteFault> {
        let fault = |error: EngineError| match Fault::from(error).writing() {
            WriteFault::Row(error) => WriteFault::Job(error),
            other => other,
        };
        self.prepared(write).map_err(|error| fault(error.at(write.table.shown())))?;
        self.tainted = false;
        self.run("START TRANSACTION")
    }

    fn write(&mut self, rows: &Rows) -> Result<(), WriteFault> {
        let Rows::Batch(batch) = rows else {
            let message = "MySQL takes no rows in another engine's form";
            return Err(WriteFault::Job(EngineError::new(Kind::Unsupported, message)));
        };
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let put = self.put(batch);
        self.tainted |= put.is_err();
        put
    }

    fn savepoint(&mut self) -> Result<(), WriteFault> {
        self.run("SAVEPOINT mig")
    }

    fn settle(&mut self) -> Result<(), WriteFault> {
        Ok(())
    }

    fn back(&mut self) -> Result<(), WriteFault> {
        self.run("ROLLBACK TO SAVEPOINT mig")?;
        self.tainted = false;
        Ok(())
    }

    fn commit(&mut self, receipt: &SpanReceipt) -> Result<(), WriteFault> {
        if self.tainted {
            let message = "rows were refused, and nobody went back to a savepoint";
            return Err(WriteFault::Span(EngineError::new(Kind::RowRefused, message)));
        }
        let (ledger, job) = (self.sink.ledger(), &self.job);
        let held = ledger.fence(job).map_err(WriteFault::Job)?;
        let record = ledger.record(job, receipt).map_err(WriteFault::Job)?;
        fence(&mut self.session, &held).map_err(|error| Fault::from(error).writing())?;
        if let Err(fault) = self.session.run(&record) {
            return Err(match fault.number {
                DUPLICATE => WriteFault::Job(EngineError::new(
                    Kind::Internal,
                    "the ledger says that this span is committed already",
                )),
                _ => fault.writing(),
            });
        }
        match self.session.run("COMMIT") {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_lost() && fault.error.kind() != Kind::Cancelled => {
                match self.probe(receipt) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(WriteFault::Span(fault.error)),
                    Err(error) => Err(WriteFault::Job(error)),
                }
            }
            Err(fault) => Err(fault.writing()),
        }
    }

    fn abandon(&mut self) {
        if !self.session.is_lost() {
            let _ = self.session.run("ROLLBACK");
        }
    }
}
