//! Counts the values that a target cannot hold: all questions of a table by one scan.

use crate::endpoint::postgres::columns::{self, Known};
use crate::endpoint::postgres::dialect::literal;
use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::project::{Form, own_form};
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::snapshot::{Instant, filtered};
use crate::endpoint::rows::{Finding, LossClass, Question};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Table;

/// Questions of one scan: the server takes 1,664 columns.
const QUESTIONS_MAX: usize = 1000;
/// Keys that are shown for a question.
const SAMPLES: usize = 5;
/// Version from which a `numeric` may be infinite.
const INFINITE_NUMERIC: u32 = 140_000;
/// Version from which text can be asked whether it is JSON.
const IS_JSON: u32 = 160_000;

/// Answers the questions about a table.
///
/// # Errors
/// `SchemaMismatch` for a column that is not there, `Unsupported` for what the server cannot be
/// asked; those of the server.
pub(super) fn census(
    instant: &Instant,
    table: &Table,
    filter: &str,
    questions: &[Question],
) -> Result<Vec<Finding>> {
    instant.with("failed to count what cannot be carried", |session| {
        let (shape, known) = columns::of_table(session, &instant.dialect, &table.name)?;
        let from = instant.from(&table.name, shape.partitioned)?;
        let encoding = session.query("SHOW server_encoding")?;
        let encoding = encoding.first().map(|row| row.text(0)).unwrap_or_default();
        let server = Server { version: session.version, checks_text: encoding != "SQL_ASCII" };
        let mut found = Vec::new();
        for questions in questions.chunks(QUESTIONS_MAX) {
            let mut conditions = Vec::new();
            for question in questions {
                let column = columns::find(&known, &table.name, &question.column)?;
                let name = instant.dialect.quote(&question.column)?;
                conditions.push(condition(&server, column, &name, &question.class)?);
            }
            let counts = count(session, &from, filter, &conditions)?;
            for ((question, condition), rows) in questions.iter().zip(&conditions).zip(counts) {
                let samples = match rows {
                    0 => Vec::new(),
                    _ => sample(instant, session, table, (&from, filter, condition))?,
                };
                found.push(Finding { question: question.clone(), rows, samples });
            }
        }
        Ok(found)
    })
}

fn count(session: &mut Session, from: &str, filter: &str, conditions: &[String]) -> Done<Vec<u64>> {
    if conditions.iter().all(|condition| condition == NEVER) {
        return Ok(vec![0; conditions.len()]);
    }
    let counts: Vec<String> =
        conditions.iter().map(|c| format!("count(*) FILTER (WHERE {c})")).collect();
    let sql = format!("SELECT {} FROM {from}{}", counts.join(", "), filtered(filter));
    let rows = session.query(&sql)?;
    let value = |at| rows.first().and_then(|row| row.number(at)).unwrap_or(0);
    Ok((0..conditions.len()).map(value).collect())
}

fn sample(
    instant: &Instant,
    session: &mut Session,
    table: &Table,
    (from, filter, condition): (&str, &str, &str),
) -> Done<Vec<String>> {
    let key = match &table.primary_key {
        Some(key) => instant.dialect.quote_all(key.columns.iter().map(String::as_str))?,
        None => "ctid".to_owned(),
    };
    let filter = filtered(filter);
    let and = if filter.is_empty() { " WHERE" } else { " AND" };
    let sql = format!(
        "SELECT {key} FROM {from}{filter}{and} ({condition}) ORDER BY {key} LIMIT {SAMPLES}"
    );
    let values = table.primary_key.as_ref().map_or(1, |key| key.columns.len());
    let shown = |row: &crate::endpoint::postgres::row::Row| {
        (0..values).map(|at| row.text(at)).collect::<Vec<_>>().join(",")
    };
    Ok(session.query(&sql)?.iter().map(shown).collect())
}

struct Server {
    version: u32,
    /// Whether every text is in the encoding that the database claims.
    checks_text: bool,
}

const NEVER: &str = "false";

/// The condition that a value of this class fulfils.
fn condition(server: &Server, column: &Known, name: &str, class: &LossClass) -> Result<String> {
    let form = own_form(column);
    let is_number = matches!(
        form,
        Some(Form::Int2 | Form::Int4 | Form::Int8 | Form::Numeric | Form::Float4 | Form::Float8)
    );
    let is_day = matches!(form, Some(Form::Date | Form::Timestamp));
    Ok(match class {
        LossClass::InfiniteDate if is_day => format!("NOT pg_catalog.isfinite({name})"),
        LossClass::DateOutside { first, end } if is_day => {
            date_outside(name, form == Some(Form::Date), first, end)
        }
        LossClass::TimeOutside if form == Some(Form::Time) => format!("{name} >= '24:00:00'"),
        LossClass::NotFinite if is_number => not_finite(server, form, name),
        LossClass::IntegerOutside { least, most } if is_number => {
            format!("{name} < {} OR {name} > {}", literal_number(*least), literal_number(*most))
        }
        LossClass::DecimalOutside { whole, scale } if is_number => {
            let finite = not_finite(server, form, name);
            let number = format!("(CASE WHEN {finite} THEN 0 ELSE {name} END)::pg_catalog.numeric");
            let bound = format!("1{}", "0".repeat(*whole as usize));
            format!("abs({number}) >= {bound} OR {number} <> round({number}, {scale})")
        }
        // Text without an encoding may be anything, once it is not ASCII.
        LossClass::NotText if !server.checks_text && form == Some(Form::Text) => {
            format!("{name}::pg_catalog.text ~ '[^\\x01-\\x7f]'")
        }
        LossClass::Longer(most) if form == Some(Form::Bytes) => {
            format!("octet_length({name}) > {most}")
        }
        LossClass::Longer(most) => format!("char_length({name}::pg_catalog.text) > {most}"),
        LossClass::NotBoolean if is_number => format!("{name} NOT IN (0, 1)"),
        LossClass::NotJson if column.base.oid == 114 || column.base.oid == 3802 => NEVER.to_owned(),
        LossClass::NotJson if server.version >= IS_JSON => {
            format!("{name}::pg_catalog.text IS NOT JSON")
        }
        LossClass::NotJson => {
            let message = "this server cannot be asked which texts are JSON";
            return Err(EngineError::new(Kind::Unsupported, message));
        }
        // Dates are always real here, text holds no NUL, values are of their declared types.
        _ => NEVER.to_owned(),
    })
}

fn not_finite(server: &Server, form: Option<Form>, name: &str) -> String {
    match form {
        Some(Form::Float4 | Form::Float8) => format!("{name} IN ('NaN', 'Infinity', '-Infinity')"),
        Some(Form::Numeric) if server.version >= INFINITE_NUMERIC => {
            format!("{name} IN ('NaN', 'Infinity', '-Infinity')")
        }
        Some(Form::Numeric) => format!("{name} = 'NaN'"),
        _ => NEVER.to_owned(),
    }
}

fn literal_number(number: i128) -> String {
    format!("({number})")
}

/// Finite days before the first and from the end on. A bound beyond what the server's own type holds
/// asks nothing.
fn date_outside(name: &str, is_date: bool, first: &str, end: &str) -> String {
    let last_year = if is_date { 5_874_897 } else { 294_276 };
    let mut outside = Vec::new();
    for (day, sign) in [(first, "<"), (end, ">=")] {
        let (year, rest) = year(day);
        if year > FIRST_YEAR && year <= last_year {
            let day = match year {
                1.. => format!("{year:04}-{rest}"),
                _ => format!("{:04}-{rest} BC", 1 - year),
            };
            outside.push(format!("{name} {sign} {}", literal(&day)));
        }
    }
    match outside.is_empty() {
        true => NEVER.to_owned(),
        false => format!("pg_catalog.isfinite({name}) AND ({})", outside.join(" OR ")),
    }
}

/// The year in which the server's calendar begins, where 0 is the one before the first.
const FIRST_YEAR: i64 = -4713;

/// The year of a day, and what stands behind it.
fn year(day: &str) -> (i64, &str) {
    let (sign, digits) = match day.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, day.strip_prefix('+').unwrap_or(day)),
    };
    let (year, rest) = digits.split_once('-').unwrap_or((digits, "01-01"));
    (sign * year.parse::<i64>().unwrap_or(0), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_in_the_servers_calendar() {
        let asked = |first, end| date_outside("d", true, first, end);
        assert_eq!(
            asked("1000-01-01", "+010000-01-01"),
            "pg_catalog.isfinite(d) AND (d < '1000-01-01' OR d >= '10000-01-01')"
        );
        assert_eq!(
            asked("0000-01-01", "-0001-12-31"),
            "pg_catalog.isfinite(d) AND (d < '0001-01-01 BC' OR d >= '0002-12-31 BC')"
        );
        assert_eq!(asked("-4713-11-24", "5874898-01-01"), NEVER);
    }
}
