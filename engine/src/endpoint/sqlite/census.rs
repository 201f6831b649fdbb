//! The census: one pass over a table, every value looked at as the reader would.
//!
//! A table that has rowids is cut by their least and greatest, and the parts are looked at side by
//! side within the instant.

use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::IgnoredAny;

use crate::endpoint::rows::{Finding, LossClass, Question};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::{decode, split};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Table;
use crate::model::forms;
use crate::model::kind::{
    ColumnType, DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};
use crate::model::rows::Range;

/// Keys that are shown of each finding.
const SAMPLES: usize = 10;
const DAY_MICROS: i64 = 86_400_000_000;
/// Parts of a table for each session: keys lie unevenly.
const PARTS_A_SESSION: i128 = 8;

/// Asks the questions of every row, by these sessions side by side. Samples come in the order of the
/// table's own tree.
///
/// # Errors
/// Those of the library; names that cannot be quoted.
pub fn take(
    sessions: &mut [Connection],
    place: &Place,
    table: &Table,
    filter: &str,
    questions: &[Question],
) -> Result<Vec<Finding>> {
    let failed = |error: rusqlite::Error| place.error("failed to take the census", &error);
    let none =
        |question: &Question| Finding { question: question.clone(), rows: 0, samples: Vec::new() };
    let nothing: Vec<Finding> = questions.iter().map(none).collect();
    let (Some(first), false) = (sessions.first(), questions.is_empty()) else {
        return Ok(nothing);
    };
    let order = split::order(first, &table.name.name).map_err(failed)?.columns;
    let most = i128::try_from(sessions.len()).unwrap_or(1) * PARTS_A_SESSION;
    let parts = match sessions.len() {
        1 => vec![Range::Whole],
        _ => parts(first, table, &order, most).map_err(failed)?,
    };
    let key = table.primary_key.as_ref().map_or(order, |key| key.columns.clone());
    let survey = Survey { place, table, filter, asked: Asked::all(table, questions), key: &key };
    let next = AtomicUsize::new(0);
    let look = |session: &mut Connection| -> Result<Vec<(usize, Vec<Finding>)>> {
        let mut seen = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else { return Ok(seen) };
            let mut found = nothing.clone();
            if let Err(error) = survey.look(session, part, &mut found) {
                // Nobody begins another part.
                next.store(parts.len(), Ordering::Relaxed);
                return Err(error);
            }
            seen.push((at, found));
        }
    };
    let mut seen = std::thread::scope(|scope| {
        let look = &look;
        let spawn = |session| scope.spawn(move || look(session));
        let threads: Vec<_> = sessions.iter_mut().map(spawn).collect();
        let lost = |_| Err(EngineError::new(Kind::Internal, "a thread of the census is gone"));
        let ends = threads.into_iter().map(|thread| thread.join().unwrap_or_else(lost));
        ends.collect::<Result<Vec<_>>>()
    })?
    .concat();
    seen.sort_by_key(|(at, _)| *at);
    Ok(seen.into_iter().fold(nothing, |all, (_, part)| joined(all, part)))
}

/// The findings of a part behind those of the parts before it.
fn joined(mut all: Vec<Finding>, part: Vec<Finding>) -> Vec<Finding> {
    for (all, part) in all.iter_mut().zip(part) {
        all.rows += part.rows;
        let room = SAMPLES.saturating_sub(all.samples.len());
        all.samples.extend(part.samples.into_iter().take(room));
    }
    all
}

/// Parts of a table by its rowids, of one width; one part where it has none, or no row.
fn parts(
    session: &Connection,
    table: &Table,
    order: &[String],
    most: i128,
) -> rusqlite::Result<Vec<Range>> {
    let whole = vec![Range::Whole];
    let ([column], Ok(from)) = (order, Sqlite.quote(&table.name.name)) else { return Ok(whole) };
    let Ok(name) = Sqlite.quote(column) else { return Ok(whole) };
    // Each of the two is one descent of the tree; both in one statement would be a scan.
    let end = |sign: &str| -> rusqlite::Result<Option<i64>> {
        let sql = format!("SELECT {name} FROM {from} ORDER BY {name} {sign} LIMIT 1");
        let end = session.query_row(&sql, [], |row| Ok(row.get_ref(0)?.as_i64().ok()));
        Ok(end.optional()?.flatten())
    };
    let (Some(first), Some(last)) = (end("ASC")?, end("DESC")?) else { return Ok(whole) };
    let (first, last) = (i128::from(first), i128::from(last));
    let width = (last - first) / most + 1;
    let cuts: Vec<i128> = (1..most).map(|at| first + at * width).filter(|at| *at <= last).collect();
    let froms = std::iter::once(None).chain(cuts.iter().map(Some));
    let tos = cuts.iter().map(Some).chain(std::iter::once(None));
    let text = |end: Option<&i128>| end.map(i128::to_string);
    let part = |(from, to)| Range::Keys { column: column.clone(), from: text(from), to: text(to) };
    Ok(froms.zip(tos).map(part).collect())
}

/// What is asked of one column.
struct Asked<'a> {
    column: &'a str,
    kind: ColumnType,
    tests: Vec<Test<'a>>,
}

/// A question, and where its finding stands.
struct Test<'a> {
    finding: usize,
    class: &'a LossClass,
    /// The first day that can be held and the first that cannot, of [`LossClass::DateOutside`].
    days: (Option<i64>, Option<i64>),
}

impl<'a> Asked<'a> {
    fn all(table: &Table, questions: &'a [Question]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (finding, Question { column, class }) in questions.iter().enumerate() {
            let days = match class {
                LossClass::DateOutside { first, end } => (forms::bound(first), forms::bound(end)),
                _ => (None, None),
            };
            let test = Test { finding, class, days };
            if let Some(asked) = all.iter_mut().find(|asked| asked.column == column) {
                asked.tests.push(test);
                continue;
            }
            let kind = table.column(column).map_or(ColumnType::Any, |column| column.kind.clone());
            all.push(Self { column, kind, tests: vec![test] });
        }
        all
    }
}

/// A table that is looked at.
struct Survey<'a> {
    place: &'a Place,
    table: &'a Table,
    filter: &'a str,
    asked: Vec<Asked<'a>>,
    key: &'a [String],
}

impl Survey<'_> {
    fn look(&self, session: &Connection, part: &Range, findings: &mut [Finding]) -> Result<()> {
        let asked = self.asked.iter().map(|asked| asked.column);
        let names = Sqlite.quote_all(asked.chain(self.key.iter().map(String::as_str)))?;
        let (condition, ends) = split::condition(part, self.filter)?;
        let from = Sqlite.quote(&self.table.name.name)?;
        let sql = format!("SELECT {names} FROM {from}{condition}");
        let scanned = self.scan(session, &sql, ends, findings);
        scanned.map_err(|error| self.place.error("failed to take the census", &error))
    }

    fn scan(
        &self,
        session: &Connection,
        sql: &str,
        ends: Vec<rusqlite::types::Value>,
        findings: &mut [Finding],
    ) -> rusqlite::Result<()> {
        let mut statement = session.prepare(sql)?;
        let mut rows = statement.query(rusqlite::params_from_iter(ends))?;
        let mut scratch = String::new();
        while let Some(row) = rows.next()? {
            for (at, asked) in self.asked.iter().enumerate() {
                let value = row.get_ref(at)?;
                if matches!(value, ValueRef::Null) {
                    continue;
                }
                let lost = asked.tests.iter().filter(|test| {
                    is_lost(test.class, test.days, &asked.kind, value, &mut scratch)
                });
                for test in lost {
                    let Some(finding) = findings.get_mut(test.finding) else { continue };
                    finding.rows += 1;
                    if finding.samples.len() < SAMPLES {
                        let key = self.asked.len()..self.asked.len() + self.key.len();
                        let shown = key.map(|at| row.get_ref(at).map(key_text));
                        finding.samples.push(shown.collect::<Result<Vec<_>, _>>()?.join(","));
                    }
                }
            }
        }
        Ok(())
    }
}

fn key_text(value: ValueRef<'_>) -> String {
    decode::shown(value)
        .map_or("NULL".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// Whether a value that is not NULL is of the class.
fn is_lost(
    class: &LossClass,
    (first, end): (Option<i64>, Option<i64>),
    kind: &ColumnType,
    value: ValueRef<'_>,
    scratch: &mut String,
) -> bool {
    match class {
        LossClass::NotDeclared(ColumnType::Json | ColumnType::JsonParsed) | LossClass::NotJson => {
            decode::text(value, scratch)
                .is_none_or(|text| serde_json::from_str::<IgnoredAny>(text).is_err())
        }
        LossClass::NotDeclared(kind) => !decode::holds(kind, value, scratch),
        LossClass::ImpossibleDate => moment(kind, value).is_none(),
        LossClass::InfiniteDate => matches!(moment(kind, value), Some(Moment::Infinite)),
        LossClass::DateOutside { .. } => match moment(kind, value) {
            Some(Moment::Day(day)) => {
                first.is_some_and(|first| day < first) || end.is_some_and(|end| day >= end)
            }
            _ => false,
        },
        LossClass::TimeOutside => decode::time(&ColumnType::Duration, value)
            .is_some_and(|time| !(0..DAY_MICROS).contains(&time)),
        LossClass::NotFinite => match value {
            ValueRef::Real(value) => !value.is_finite(),
            ValueRef::Text(b"NaN" | b"Infinity" | b"-Infinity") => true,
            _ => false,
        },
        LossClass::IntegerOutside { least, most } => matches!(value,
            ValueRef::Integer(value) if !(*least..=*most).contains(&i128::from(value))),
        LossClass::DecimalOutside { whole, scale } => {
            decode::decimal(value, None, scratch).is_some_and(|text| is_wider(text, *whole, *scale))
        }
        LossClass::Nul => matches!(value, ValueRef::Text(text) if text.contains(&0)),
        LossClass::NotText => {
            matches!(value, ValueRef::Text(text) if std::str::from_utf8(text).is_err())
        }
        LossClass::Longer(most) => match value {
            ValueRef::Blob(bytes) => bytes.len() as u64 > *most,
            value => decode::text(value, scratch).is_some_and(|text| !decode::fits(text, *most)),
        },
        LossClass::NotBoolean => decode::boolean(value).is_none(),
        // Counted by whoever casts.
        LossClass::NotCast => false,
    }
}

enum Moment {
    Infinite,
    Day(i64),
}

/// The day of a date or a moment.
fn moment(kind: &ColumnType, value: ValueRef<'_>) -> Option<Moment> {
    let time = decode::time(kind, value)?;
    let (least, most, unit) = match kind {
        ColumnType::Date => (i64::from(DATE_MINUS_INFINITE), i64::from(DATE_INFINITE), 1),
        _ => (TIMESTAMP_MINUS_INFINITE, TIMESTAMP_INFINITE, DAY_MICROS),
    };
    let infinite = time == least || time == most;
    Some(if infinite { Moment::Infinite } else { Moment::Day(time.div_euclid(unit)) })
}

/// Whether a number has more digits than these in front of its point or behind it.
fn is_wider(text: &str, whole: u32, scale: u32) -> bool {
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return false;
    }
    let (front, behind) = forms::decimal_parts(text);
    let behind = behind.unwrap_or_default().trim_end_matches('0');
    front.trim_start_matches('0').len() > whole as usize || behind.len() > scale as usize
}
