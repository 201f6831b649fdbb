//! The ledger: two tables in the target that say which spans of which job are committed. A span's row
//! is committed by the transaction of its rows, under the job's epoch.

use serde::{Deserialize, Serialize};

use crate::endpoint::rows::{LedgerJob, SpanReceipt};
use crate::endpoint::sql::dialect::Dialect;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::TableName;
use crate::model::rows::{Range, Span, Tally};

/// The table of jobs and their epochs.
pub const JOBS: &str = "mig_ledger_jobs";
/// The table of committed spans.
pub const SPANS: &str = "mig_ledger_spans";

/// Whether a table is the ledger's, which no catalogue shows.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    matches!(name, JOBS | SPANS)
}

/// The ledger's statements in one dialect.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSql<'a, D>(pub &'a D);

impl<D: Dialect> LedgerSql<'_, D> {
    fn jobs(&self) -> Result<String> {
        self.0.quote_table(&own(JOBS))
    }

    fn spans(&self) -> Result<String> {
        self.0.quote_table(&own(SPANS))
    }

    /// Makes the tables where they are not there. `text`: a type for texts of up to 128 characters
    /// that may be a key, compared byte by byte; `long`: one for any text.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn create(&self, text: &str, long: &str) -> Result<[String; 2]> {
        let (jobs, spans) = (self.jobs()?, self.spans()?);
        Ok([
            format!(
                "CREATE TABLE IF NOT EXISTS {jobs} (job {text} NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {spans} (job {text} NOT NULL, table_id {text} NOT NULL, \
                 span BIGINT NOT NULL, about {long} NOT NULL, PRIMARY KEY (job, table_id, span))"
            ),
        ])
    }

    /// Raises the epoch: the update, and what is inserted where it found no row.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn raise(&self, job: &str) -> Result<[String; 2]> {
        let (jobs, job) = (self.jobs()?, self.0.literal(job));
        Ok([
            format!("UPDATE {jobs} SET epoch = epoch + 1 WHERE job = {job}"),
            format!("INSERT INTO {jobs} (job, epoch) VALUES ({job}, 1)"),
        ])
    }

    /// Asks for the epoch.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn epoch(&self, job: &str) -> Result<String> {
        Ok(format!("SELECT epoch FROM {} WHERE job = {}", self.jobs()?, self.0.literal(job)))
    }

    /// Asks for what is committed: one text a row, for [`receipt`].
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn read(&self, job: &str) -> Result<String> {
        let (spans, job) = (self.spans()?, self.0.literal(job));
        Ok(format!("SELECT about FROM {spans} WHERE job = {job} ORDER BY table_id, span"))
    }

    /// Holds the job's row: no row means that another attempt took over.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn fence(&self, job: &LedgerJob) -> Result<String> {
        let (name, lock) = (self.0.literal(&job.job), self.0.share_lock());
        let jobs = self.jobs()?;
        Ok(format!("SELECT epoch FROM {jobs} WHERE job = {name} AND epoch = {}{lock}", job.epoch))
    }

    /// Records a span.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn record(&self, job: &LedgerJob, receipt: &SpanReceipt) -> Result<String> {
        let (name, about) = (self.0.literal(&job.job), self.0.literal(&told(receipt)?));
        let (spans, table) =
            (self.spans()?, self.0.literal(&table_id(&receipt.table, receipt.planned)));
        let span = receipt.span.number;
        Ok(format!(
            "INSERT INTO {spans} (job, table_id, span, about) VALUES ({name}, {table}, {span}, {about})"
        ))
    }

    /// Asks for one span: whether a commit whose answer was lost took place.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn find(&self, job: &LedgerJob, receipt: &SpanReceipt) -> Result<String> {
        let (spans, name) = (self.spans()?, self.0.literal(&job.job));
        let (table, span) =
            (self.0.literal(&table_id(&receipt.table, receipt.planned)), receipt.span.number);
        Ok(format!(
            "SELECT about FROM {spans} WHERE job = {name} AND table_id = {table} AND span = {span}"
        ))
    }

    /// Forgets one span.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn forget(&self, job: &LedgerJob, table: &TableName, span: u32) -> Result<String> {
        let (spans, name) = (self.spans()?, self.0.literal(&job.job));
        let table = self.0.literal(&table_id(table, false));
        Ok(format!(
            "DELETE FROM {spans} WHERE job = {name} AND table_id = {table} AND span = {span}"
        ))
    }

    /// Forgets what is planned of a table.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn unplan(&self, job: &LedgerJob, table: &TableName) -> Result<String> {
        let (spans, name) = (self.spans()?, self.0.literal(&job.job));
        let table = self.0.literal(&table_id(table, true));
        Ok(format!("DELETE FROM {spans} WHERE job = {name} AND table_id = {table}"))
    }

    /// Forgets a whole job.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn close(&self, job: &str) -> Result<[String; 2]> {
        let (jobs, spans, job) = (self.jobs()?, self.spans()?, self.0.literal(job));
        Ok([
            format!("DELETE FROM {spans} WHERE job = {job}"),
            format!("DELETE FROM {jobs} WHERE job = {job}"),
        ])
    }

    /// Asks whether any job is left.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn count(&self) -> Result<String> {
        Ok(format!("SELECT COUNT(*) FROM {}", self.jobs()?))
    }

    /// Removes both tables by one statement, where the dialect knows that.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn drop_both(&self) -> Result<String> {
        Ok(format!("DROP TABLE IF EXISTS {}, {}", self.spans()?, self.jobs()?))
    }

    /// Removes the tables.
    ///
    /// # Errors
    /// As [`Dialect::quote`].
    pub fn drop(&self) -> Result<[String; 2]> {
        Ok([
            format!("DROP TABLE IF EXISTS {}", self.spans()?),
            format!("DROP TABLE IF EXISTS {}", self.jobs()?),
        ])
    }
}

fn own(name: &str) -> TableName {
    TableName { schema: String::new(), name: name.to_owned() }
}

/// A table's name in a key of at most 64 characters, whatever it holds; another one for what is
/// planned.
fn table_id(name: &TableName, planned: bool) -> String {
    let whole = format!("{}\0{}\0{planned}", name.schema, name.name);
    blake3::hash(whole.as_bytes()).to_hex().to_string()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    schema: String,
    table: String,
    span: u32,
    range: RangeText,
    rows: u64,
    changed: u64,
    rejected: u64,
    /// 32 hex digits.
    digest: String,
    /// As `digest`, of the rows that were rejected. A ledger without it is of another version.
    refused: String,
    native: bool,
    planned: bool,
    makes: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum RangeText {
    Whole,
    Keys { column: String, from: Option<String>, to: Option<String> },
    Pages { schema: String, child: String, from: u64, to: Option<u64> },
    Rows { columns: Vec<String>, keys: Vec<Vec<String>> },
}

/// A receipt as text, for [`receipt`].
///
/// # Errors
/// None that a receipt can cause.
pub fn told(receipt: &SpanReceipt) -> Result<String> {
    let range = match receipt.span.range.clone() {
        Range::Whole => RangeText::Whole,
        Range::Keys { column, from, to } => RangeText::Keys { column, from, to },
        Range::Pages { child, from, to } => {
            RangeText::Pages { schema: child.schema, child: child.name, from, to }
        }
        Range::Rows { columns, keys } => RangeText::Rows { columns, keys },
    };
    let about = About {
        schema: receipt.table.schema.clone(),
        table: receipt.table.name.clone(),
        span: receipt.span.number,
        range,
        rows: receipt.written.rows,
        changed: receipt.written.changed,
        rejected: receipt.rejected,
        digest: format!("{:032x}", receipt.written.digest),
        refused: format!("{:032x}", receipt.refused),
        native: receipt.native,
        planned: receipt.planned,
        makes: receipt.makes,
    };
    serde_json::to_string(&about)
        .map_err(|error| EngineError::new(Kind::Internal, format!("a receipt: {error}")))
}

/// A receipt as the ledger holds it.
///
/// # Errors
/// `JournalCorrupt` for anything that no engine of this version wrote.
pub fn receipt(text: &str) -> Result<SpanReceipt> {
    let corrupt = || {
        EngineError::new(Kind::JournalCorrupt, "the ledger in the target cannot be understood")
            .hint(format!("another version wrote it; remove {SPANS} and {JOBS} to begin anew"))
    };
    let about: About = serde_json::from_str(text).map_err(|_| corrupt())?;
    let digest = u128::from_str_radix(&about.digest, 16).map_err(|_| corrupt())?;
    let refused = u128::from_str_radix(&about.refused, 16).map_err(|_| corrupt())?;
    let range = match about.range {
        RangeText::Whole => Range::Whole,
        RangeText::Keys { column, from, to } => Range::Keys { column, from, to },
        RangeText::Pages { schema, child, from, to } => {
            Range::Pages { child: TableName { schema, name: child }, from, to }
        }
        RangeText::Rows { columns, keys } => Range::Rows { columns, keys },
    };
    Ok(SpanReceipt {
        table: TableName { schema: about.schema, name: about.table },
        span: Span { number: about.span, range },
        written: Tally { rows: about.rows, changed: about.changed, digest },
        rejected: about.rejected,
        refused,
        native: about.native,
        planned: about.planned,
        makes: about.makes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_come_back_whatever_they_hold() {
        let name = |text: &str| TableName { schema: "s".to_owned(), name: text.to_owned() };
        let keys =
            Range::Keys { column: "a'\"\\".to_owned(), from: None, to: Some("9\n".to_owned()) };
        let pages = Range::Pages { child: name("c"), from: 7, to: None };
        let rows =
            Range::Rows { columns: vec!["a".to_owned()], keys: vec![vec!["'\"".to_owned()]] };
        for range in [Range::Whole, keys, pages, rows] {
            let receipt = SpanReceipt {
                table: name("t\u{1f600}'; DROP"),
                span: Span { number: 3, range },
                written: Tally { rows: u64::MAX, changed: 1, digest: u128::MAX },
                rejected: 2,
                refused: u128::MAX - 1,
                native: true,
                planned: true,
                makes: true,
            };
            assert_eq!(super::receipt(&told(&receipt).unwrap()).unwrap(), receipt);
        }
        assert_eq!(super::receipt("{}").unwrap_err().kind(), Kind::JournalCorrupt);
        // As it was written before receipts told of refused rows.
        let old = r#"{"schema":"","table":"t","span":0,"range":"whole","rows":2,"changed":0,"rejected":1,"digest":"00","planned":false,"makes":false}"#;
        assert_eq!(super::receipt(old).unwrap_err().kind(), Kind::JournalCorrupt);
    }
}
