//! The census: one pass over a table, every value looked at as the reader would.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;

use crate::endpoint::rows::{Finding, LossClass, Question};
use crate::endpoint::sql::dialect::Dialect;
use crate::endpoint::sqlite::dialect::Sqlite;
use crate::endpoint::sqlite::session::Place;
use crate::endpoint::sqlite::{decode, split};
use crate::error::Result;
use crate::model::catalog::Table;
use crate::model::forms;
use crate::model::kind::{
    ColumnType, DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};
use crate::model::rows::Range;

/// Keys that are shown of each finding.
const SAMPLES: usize = 10;
const DAY_MICROS: i64 = 86_400_000_000;

/// Asks the questions of every row. Samples come in the order of the table's own tree.
///
/// # Errors
/// Those of the library; names that cannot be quoted.
pub fn take(
    session: &Connection,
    place: &Place,
    table: &Table,
    filter: &str,
    questions: &[Question],
) -> Result<Vec<Finding>> {
    let failed = |error: rusqlite::Error| place.error("failed to take the census", &error);
    let none =
        |question: &Question| Finding { question: question.clone(), rows: 0, samples: Vec::new() };
    let mut findings: Vec<Finding> = questions.iter().map(none).collect();
    if questions.is_empty() {
        return Ok(findings);
    }
    let key = match &table.primary_key {
        Some(key) => key.columns.clone(),
        None => split::order(session, &table.name.name).map_err(failed)?.columns,
    };
    let asked = questions.iter().map(|question| question.column.as_str());
    let names = Sqlite.quote_all(asked.chain(key.iter().map(String::as_str)))?;
    let (condition, _) = split::condition(&Range::Whole, filter)?;
    let from = Sqlite.quote(&table.name.name)?;
    let kinds: Vec<ColumnType> = questions
        .iter()
        .map(|question| table.column(&question.column).map_or(ColumnType::Any, |c| c.kind.clone()))
        .collect();
    let mut scratch = String::new();
    let mut look = || -> rusqlite::Result<()> {
        let mut statement = session.prepare(&format!("SELECT {names} FROM {from}{condition}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for (at, (finding, kind)) in findings.iter_mut().zip(&kinds).enumerate() {
                let value = row.get_ref(at)?;
                if matches!(value, ValueRef::Null)
                    || !is_lost(&finding.question.class, kind, value, &mut scratch)
                {
                    continue;
                }
                finding.rows += 1;
                if finding.samples.len() < SAMPLES {
                    let shown = (0..key.len()).map(|own| row.get_ref(questions.len() + own));
                    let shown: Vec<String> =
                        shown.map(|value| value.map(key_text)).collect::<Result<_, _>>()?;
                    finding.samples.push(shown.join(","));
                }
            }
        }
        Ok(())
    };
    look().map_err(failed)?;
    Ok(findings)
}

fn key_text(value: ValueRef<'_>) -> String {
    decode::shown(value)
        .map_or("NULL".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// Whether a value that is not NULL is of the class.
fn is_lost(
    class: &LossClass,
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
        LossClass::DateOutside { first, end } => match moment(kind, value) {
            Some(Moment::Day(day)) => {
                forms::bound(first).is_some_and(|first| day < first)
                    || forms::bound(end).is_some_and(|end| day >= end)
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
