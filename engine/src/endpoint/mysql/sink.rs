//! A database that is written.

use std::sync::Arc;

use crate::endpoint::rows::{
    Home, LedgerJob, NameRules, OpenedLedger, SpanReceipt, SpanWriter, Statements, TableSink,
    TableSource,
};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::ledger::{self, LedgerSql};
use crate::endpoint::sql::{schema, turn};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Catalog, Engine, Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::location::Location;
use crate::model::rows::Range;
use crate::remote::ties::Ties;

use super::catalog;
use super::config::Config;
use super::dialect::Mysql;
use super::home::home;
use super::keys;
use super::prepare::prepare;
use super::removal::removal;
use super::session::{Role, Session};
use super::source::Source;
use super::writer::Writer;

/// Longest name of a table's file, less its suffix: the file systems' 255 bytes.
const FILE_BYTES_MAX: usize = 250;

/// Types of the ledger's texts.
const LEDGER_KEY: &str = "varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
const LEDGER_TEXT: &str = "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";

/// Opens a sink: connects once, to know which server it is.
///
/// # Errors
/// As [`Config::of`] and [`Session::open`].
pub(super) fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSink>> {
    let config = Config::of(location, ties)?;
    let mut session = Session::open(&config, ties, Role::Define)?;
    let dialect = Mysql::of(&session.server);
    let folds = session.value("SELECT @@lower_case_table_names")?;
    let folds_tables = folds.is_some_and(|folds| folds != "0");
    Ok(Box::new(Sink { config, ties: ties.clone(), dialect, folds_tables }))
}

/// A database that is written; each call has a session of its own.
pub(super) struct Sink {
    pub config: Arc<Config>,
    pub ties: Ties,
    pub dialect: Mysql,
    /// Whether names of tables that differ by case alone are one name.
    folds_tables: bool,
}

impl Sink {
    pub(super) fn session(&self, role: Role) -> Result<Session> {
        Ok(Session::open(&self.config, &self.ties, role)?)
    }

    pub(super) fn ledger(&self) -> LedgerSql<'_, Mysql> {
        LedgerSql(&self.dialect)
    }
}

/// Holds the job's row until the transaction ends.
///
/// # Errors
/// `LeaseLost` where another attempt has raised the epoch.
pub(super) fn fence(session: &mut Session, statement: &str) -> Result<()> {
    if session.lines(statement)?.is_empty() {
        let message = "another attempt at this job has taken over its ledger";
        return Err(EngineError::new(Kind::LeaseLost, message));
    }
    Ok(())
}

impl TableSink for Sink {
    fn engine(&self) -> Engine {
        Engine::Mysql
    }

    fn catalog(&self) -> Result<Catalog> {
        catalog::catalog(&mut self.session(Role::Read)?, &self.config.database)
    }

    fn home(&self, kind: &ColumnType) -> Home {
        home(&self.dialect, kind)
    }

    fn names(&self) -> NameRules {
        NameRules {
            most: 64,
            bytes: false,
            folds_case: true,
            folds_tables: self.folds_tables,
            schemas: false,
            indexes_share: false,
            plain: true,
            file_most: Some(FILE_BYTES_MAX),
            own: "",
        }
    }

    fn statements(&self, table: &Table) -> Result<Statements> {
        let (made, left) = prepare(&self.dialect, table)?;
        let mut statements = schema::statements(&self.dialect, &made)?;
        statements.left.extend(left);
        let name = self.dialect.quote_table(&made.name)?;
        statements.alter = format!("ALTER TABLE {name} ");
        for named in &mut statements.constraints {
            named.clause = named.sql.strip_prefix(&statements.alter).unwrap_or_default().to_owned();
        }
        for named in &mut statements.indexes {
            let index = made.indexes.iter().find(|index| index.name == named.name);
            // What has other words than these is made by its own.
            if let Some(index) = index
                && keys::definition(&made.name, index)? == named.sql
            {
                named.clause = keys::clause(index)?;
            }
        }
        let next = made.columns.iter().find_map(|column| column.identity.as_ref()?.next);
        if let Some(next) = next.filter(|next| *next > 0) {
            statements.finish.push(format!("ALTER TABLE {name} AUTO_INCREMENT = {next}"));
        }
        statements.finish.push(format!("ANALYZE TABLE {name}"));
        // Whoever points to the table does not keep it.
        let removing = [&mut statements.drop, &mut statements.clear, &mut statements.loosen];
        for removing in removing {
            removing.insert(0, "SET SESSION foreign_key_checks = 0".to_owned());
        }
        Ok(statements)
    }

    fn execute(&self, statements: &[String]) -> Result<()> {
        let mut session = self.session(Role::Define)?;
        for statement in statements {
            // A build asks for its lock once more at its end: a short turn would undo hours.
            let brief = ["CREATE TABLE ", "DROP ", "TRUNCATE ", "SET "];
            let builds = !brief.iter().any(|word| statement.starts_with(word));
            let patience = &self.ties.patience;
            session.wait_for_locks(if builds { patience.lock } else { patience.turn() })?;
            turn::take(&self.ties, || Ok(session.run(statement)?))?;
        }
        Ok(())
    }

    fn open_ledger(&self, job: &str) -> Result<OpenedLedger> {
        let (mut session, ledger) = (self.session(Role::Define)?, self.ledger());
        for statement in ledger.create(LEDGER_KEY, LEDGER_TEXT)? {
            session.run(&statement)?;
        }
        let [raise, first] = ledger.raise(job)?;
        session.run("START TRANSACTION")?;
        if session.run(&raise)?.affected == 0 {
            session.run(&first)?;
        }
        let epoch = session.value(&ledger.epoch(job)?)?;
        session.run("COMMIT")?;
        let epoch = epoch.and_then(|epoch| epoch.parse().ok()).ok_or_else(|| {
            EngineError::new(Kind::RemoteAnswer, "the ledger's epoch is no number")
        })?;
        let lines = session.lines(&ledger.read(job)?)?;
        let receipts = lines.into_iter().flatten().flatten().map(|text| ledger::receipt(&text));
        let receipts = receipts.collect::<Result<_>>()?;
        Ok(OpenedLedger { job: LedgerJob { job: job.to_owned(), epoch }, receipts })
    }

    fn note(&self, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()> {
        let (mut session, ledger) = (self.session(Role::Define)?, self.ledger());
        session.run("START TRANSACTION")?;
        fence(&mut session, &ledger.fence(job)?)?;
        for receipt in receipts {
            session.run(&ledger.record(job, receipt)?)?;
        }
        session.run("COMMIT")?;
        Ok(())
    }

    fn unplan(&self, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()> {
        let Some(first) = planned.first() else { return Ok(()) };
        let (mut session, ledger) = (self.session(Role::Define)?, self.ledger());
        session.run("START TRANSACTION")?;
        fence(&mut session, &ledger.fence(job)?)?;
        session.run(&ledger.unplan(job, &first.table)?)?;
        session.run("COMMIT")?;
        Ok(())
    }

    fn removal(&self, table: &Table, range: &Range) -> Result<String> {
        removal(table, range)
    }

    fn forget(
        &self,
        job: &LedgerJob,
        spans: &[(TableName, u32)],
        statements: &[String],
    ) -> Result<()> {
        let (mut session, ledger) = (self.session(Role::Define)?, self.ledger());
        session.run("START TRANSACTION")?;
        fence(&mut session, &ledger.fence(job)?)?;
        for (table, span) in spans {
            session.run(&ledger.forget(job, table, *span)?)?;
        }
        for statement in statements {
            session.run(statement)?;
        }
        session.run("COMMIT")?;
        Ok(())
    }

    fn close_ledger(&self, job: &str) -> Result<()> {
        let (mut session, ledger) = (self.session(Role::Define)?, self.ledger());
        for statement in ledger.close(job)? {
            match session.run(&statement) {
                Ok(_) => {}
                Err(fault) if fault.error.kind() == Kind::TableNotFound => return Ok(()),
                Err(fault) => return Err(fault.error),
            }
        }
        if session.value(&ledger.count()?)?.as_deref() == Some("0") {
            // One statement: whoever dies meanwhile leaves both tables or none.
            session.run(&ledger.drop_both()?)?;
        }
        Ok(())
    }

    fn writer(&self, job: &LedgerJob) -> Result<Box<dyn SpanWriter + '_>> {
        Ok(Box::new(Writer::open(self, job)?))
    }

    fn as_source(&self) -> Result<Box<dyn TableSource>> {
        Ok(Box::new(Source { config: Arc::clone(&self.config), ties: self.ties.clone() }))
    }
}
