//! A database that is written.

use std::sync::Arc;

use crate::endpoint::postgres::config::Config;
use crate::endpoint::postgres::dialect::{NAME_BYTES_MAX, Postgres, literal};
use crate::endpoint::postgres::error::{Done, Fault};
use crate::endpoint::postgres::replicas::Watch;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::source::{self, Source};
use crate::endpoint::postgres::writer::Writer;
use crate::endpoint::postgres::{home, ledger};
use crate::endpoint::rows::{
    Home, LedgerJob, NameRules, OpenedLedger, Replicas, SpanReceipt, SpanWriter, Statements,
    TableSink, TableSource,
};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::{range, schema, turn};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Catalog, Column, Engine, Identity, Table, TableName};
use crate::model::kind::ColumnType;
use crate::model::location::Location;
use crate::model::rows::Range;
use crate::remote::call::Side;
use crate::remote::ties::Ties;

/// A PostgreSQL database as a sink.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) config: Arc<Config>,
    pub(super) dialect: Postgres,
}

/// Connects to a sink.
///
/// # Errors
/// Those of the location and of connecting.
pub(super) fn open(location: &Location, ties: &Ties) -> Result<Box<dyn TableSink>> {
    let config = Arc::new(Config::new(location, ties)?);
    let dialect = Postgres { schema: config.schema.clone() };
    let sink = Sink { config, dialect };
    drop(sink.session()?);
    Ok(Box::new(sink))
}

impl Sink {
    /// A session that writes.
    ///
    /// # Errors
    /// Those of connecting.
    pub(super) fn session(&self) -> Result<Session> {
        Session::open(&self.config, false)
            .map_err(|fault| source::unreached(fault, Side::Destination))
    }

    /// Statements that count a column up past what is there.
    fn counted(&self, table: &Table, column: &Column, identity: &Identity) -> Result<String> {
        let quoted = self.dialect.quote_table(&table.name)?;
        let name = self.dialect.quote(&column.name)?;
        let (choose, edge, first, far) = match identity.step < 0 {
            true => ("LEAST", "min", -1, "<="),
            false => ("GREATEST", "max", 1, ">="),
        };
        // The last number given, within what the column holds.
        let most = match home::declared(&column.kind).as_str() {
            "smallint" => i64::from(i16::MAX),
            "integer" => i64::from(i32::MAX),
            _ => i64::MAX,
        };
        let last = identity.next.map(|next| next - i128::from(identity.step));
        let last = last.map(|last| last.clamp(-i128::from(most), i128::from(most)));
        let last = last.map_or("NULL".to_owned(), |last| last.to_string());
        let sequence = format!(
            "pg_catalog.pg_get_serial_sequence({}, {})",
            literal(&quoted),
            literal(&column.name)
        );
        Ok(format!(
            "SELECT pg_catalog.setval({sequence}, CASE WHEN v {far} {first} THEN v ELSE {first} END, \
             coalesce(v {far} {first}, false)) FROM (SELECT \
             {choose}((SELECT {edge}({name}) FROM {quoted}), {last})::pg_catalog.int8 AS v) AS known"
        ))
    }

    /// A sequence for a column that cannot be an identity: those are integers alone.
    fn sequence(&self, table: &Table, column: &Column) -> Result<[String; 2]> {
        let quoted = self.dialect.quote_table(&table.name)?;
        let name = self.dialect.quote(&column.name)?;
        let hash = blake3::hash(format!("{quoted}.{name}").as_bytes()).to_hex();
        let own = format!("mig_{}_seq", hash.get(..16).unwrap_or_default());
        let own = TableName { schema: table.name.schema.clone(), name: own };
        let own = self.dialect.quote_table(&own)?;
        let step = column.identity.as_ref().map_or(1, |identity| identity.step);
        Ok([
            format!("CREATE SEQUENCE {own} INCREMENT BY {step} OWNED BY {quoted}.{name}"),
            format!(
                "ALTER TABLE {quoted} ALTER COLUMN {name} SET DEFAULT \
                pg_catalog.nextval({}::pg_catalog.regclass)",
                literal(&own)
            ),
        ])
    }

    fn after_rows(&self, table: &Table, made: &mut Statements) -> Result<()> {
        let quoted = self.dialect.quote_table(&table.name)?;
        for key in &table.foreign_keys {
            let name = self.dialect.quote(&key.name)?;
            made.loosen.push(format!("ALTER TABLE {quoted} DROP CONSTRAINT IF EXISTS {name}"));
        }
        for column in &table.columns {
            if let Some(identity) = &column.identity {
                made.finish.push(self.counted(table, column, identity)?);
            }
            if !column.comment.is_empty() {
                let name = self.dialect.quote(&column.name)?;
                let comment = literal(&column.comment);
                made.finish.push(format!("COMMENT ON COLUMN {quoted}.{name} IS {comment}"));
            }
        }
        if !table.comment.is_empty() {
            let comment = literal(&table.comment);
            made.finish.push(format!("COMMENT ON TABLE {quoted} IS {comment}"));
        }
        made.finish.push(format!("ANALYZE {quoted}"));
        Ok(())
    }
}

/// Runs all statements or none.
fn run_all(session: &mut Session, statements: &[String]) -> Done<()> {
    let around = |word: &'static str| (statements.len() > 1).then_some(word);
    let all = around("BEGIN").into_iter().chain(statements.iter().map(String::as_str));
    for statement in all.chain(around("COMMIT")) {
        session.run(statement)?;
    }
    Ok(())
}

/// Whether a column of this kind may be an identity.
fn is_integer(kind: &ColumnType) -> bool {
    matches!(home::declared(kind).as_str(), "smallint" | "integer" | "bigint")
}

impl TableSink for Sink {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn catalog(&self) -> Result<Catalog> {
        source::read_catalog(&self.config, Side::Destination)
    }

    fn home(&self, kind: &ColumnType) -> Home {
        home::home(kind)
    }

    fn names(&self) -> NameRules {
        NameRules {
            most: NAME_BYTES_MAX,
            bytes: true,
            folds_case: false,
            folds_tables: false,
            schemas: true,
            indexes_share: true,
            plain: false,
            file_most: None,
            own: "",
        }
    }

    fn statements(&self, table: &Table) -> Result<Statements> {
        let mut plain = table.clone();
        let mut counted = Vec::new();
        for column in &mut plain.columns {
            if column.identity.is_some() && !is_integer(&column.kind) {
                counted.push(column.clone());
                column.identity = None;
            }
        }
        let mut made = schema::statements(&self.dialect, &plain)?;
        if !table.name.schema.is_empty() {
            let schema = self.dialect.quote(&table.name.schema)?;
            made.create.insert(0, format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        }
        for column in &counted {
            let [create, default] = self.sequence(table, column)?;
            made.create.extend([create, default]);
        }
        for column in &table.columns {
            if let ColumnType::Enum(labels) = &column.kind
                && !labels.is_empty()
            {
                let (name, table) =
                    (self.dialect.quote(&column.name)?, self.dialect.quote_table(&table.name)?);
                let labels: Vec<_> = labels.iter().map(|label| literal(label)).collect();
                let labels = labels.join(", ");
                made.create.push(format!("ALTER TABLE {table} ADD CHECK ({name} IN ({labels}))"));
            }
        }
        self.after_rows(table, &mut made)?;
        Ok(made)
    }

    fn execute(&self, statements: &[String]) -> Result<()> {
        let doing = "failed to run a statement";
        let failed = |fault: Fault| fault.error(Side::Destination, doing);
        let mut session = self.session()?;
        let ties = &self.config.ties;
        session.wait_for_locks(ties.patience.turn()).map_err(failed)?;
        turn::take(ties, || {
            let run = run_all(&mut session, statements);
            run.map_err(|fault| {
                // A transaction that failed is open until it is said to be over.
                if statements.len() > 1 && !fault.ends_session() {
                    drop(session.run("ROLLBACK"));
                }
                failed(fault)
            })
        })
    }

    fn open_ledger(&self, job: &str) -> Result<OpenedLedger> {
        ledger::open(self, job)
    }

    fn note(&self, job: &LedgerJob, receipts: &[SpanReceipt]) -> Result<()> {
        ledger::note(self, job, receipts)
    }

    fn unplan(&self, job: &LedgerJob, planned: &[SpanReceipt]) -> Result<()> {
        ledger::unplan(self, job, planned)
    }

    fn removal(&self, table: &Table, range: &Range) -> Result<String> {
        let name = self.dialect.quote_table(&table.name)?;
        match range {
            Range::Whole => Ok(format!("DELETE FROM {name}")),
            Range::Keys { column, from, to } => {
                let ends = (from.as_deref(), to.as_deref());
                let condition = range::condition(&self.dialect, column, ends, "", literal)?;
                let condition = if condition.is_empty() { "true" } else { &condition };
                Ok(format!("DELETE FROM {name} WHERE {condition}"))
            }
            Range::Pages { .. } | Range::Rows { .. } => {
                let message = "pages and lists of one table are not told apart in another";
                Err(EngineError::new(Kind::Unsupported, message))
            }
        }
    }

    fn forget(
        &self,
        job: &LedgerJob,
        spans: &[(TableName, u32)],
        statements: &[String],
    ) -> Result<()> {
        ledger::forget(self, job, spans, statements)
    }

    fn close_ledger(&self, job: &str) -> Result<()> {
        ledger::close(self, job)
    }

    fn writer(&self, job: &LedgerJob) -> Result<Box<dyn SpanWriter + '_>> {
        Ok(Box::new(Writer::new(self, job)?))
    }

    fn replicas(&self) -> Result<Box<dyn Replicas>> {
        Ok(Box::new(Watch::new(self)?))
    }

    fn as_source(&self) -> Result<Box<dyn TableSource>> {
        Ok(Box::new(Source { config: Arc::clone(&self.config) }))
    }
}
