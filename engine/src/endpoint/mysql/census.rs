//! Counts what a target cannot hold: all questions of a table by one scan, and the first keys of what
//! was found by one more each.

use crate::endpoint::rows::{Finding, LossClass, Question};
use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::Result;
use crate::model::catalog::Table;
use crate::model::kind::ColumnType;

use super::dialect::Mysql;
use super::facts::{Facts, Own};
use super::session::Session;

/// Keys that are shown of each finding.
const SAMPLES: usize = 5;

/// Answers questions; those that found nothing are answered too, with 0.
///
/// # Errors
/// Those of the server; `SchemaMismatch` for a column that is not there.
pub(super) fn census(
    session: &mut Session,
    table: &Table,
    filter: &str,
    questions: &[Question],
) -> Result<Vec<Finding>> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let facts = Facts::of(session, &table.name)?;
    let mut conditions = Vec::new();
    for question in questions {
        conditions.push(condition(facts.column(&question.column)?, &question.class)?);
    }
    let counts: Vec<String> = conditions
        .iter()
        .map(|condition| match condition {
            Some(condition) => format!("COUNT(CASE WHEN {condition} THEN 1 END)"),
            None => "0".to_owned(),
        })
        .collect();
    let from = Mysql::NAMES.quote_table(&table.name)?;
    let only = if filter.is_empty() { String::new() } else { format!(" WHERE ({filter})") };
    let found = if conditions.iter().all(Option::is_none) {
        Vec::new()
    } else {
        session.lines(&format!("SELECT {} FROM {from}{only}", counts.join(", ")))?
    };
    let mut found = found.into_iter().next().unwrap_or_default().into_iter();
    let mut findings = Vec::new();
    for (question, condition) in questions.iter().zip(conditions) {
        let rows = found.next().flatten().and_then(|rows| rows.parse().ok()).unwrap_or(0);
        let samples = match condition {
            Some(condition) if rows > 0 => samples(session, table, &facts, filter, &condition)?,
            _ => Vec::new(),
        };
        findings.push(Finding { question: question.clone(), rows, samples });
    }
    Ok(findings)
}

fn samples(
    session: &mut Session,
    table: &Table,
    facts: &Facts,
    filter: &str,
    condition: &str,
) -> Result<Vec<String>> {
    let Some(key) = &table.primary_key else { return Ok(Vec::new()) };
    let dialect = Mysql::NAMES;
    let mut shown = Vec::new();
    for column in &key.columns {
        let (name, own) = (dialect.quote(column)?, facts.column(column)?);
        shown.push(match (own.charset.is_some(), own.kind.arrow()) {
            (true, _) => format!("CONVERT({name} USING utf8mb4)"),
            (false, arrow_schema::DataType::Binary) => format!("HEX({name})"),
            _ => name,
        });
    }
    let order = dialect.quote_all(key.columns.iter().map(String::as_str))?;
    let from = dialect.quote_table(&table.name)?;
    let only = if filter.is_empty() { String::new() } else { format!(" AND ({filter})") };
    let lines = session.lines(&format!(
        "SELECT {} FROM {from} WHERE {condition}{only} ORDER BY {order} LIMIT {SAMPLES}",
        shown.join(", ")
    ))?;
    let joined = |line: Vec<Option<String>>| {
        let values: Vec<String> = line.into_iter().map(Option::unwrap_or_default).collect();
        values.join(",")
    };
    Ok(lines.into_iter().map(joined).collect())
}

/// The condition for rows of a class; `None` where no value of the column's type is of it.
fn condition(own: &Own, class: &LossClass) -> Result<Option<String>> {
    let name = Mysql::NAMES.quote(&own.name)?;
    let dated =
        matches!(own.kind, ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz);
    let impossible = format!(
        "(MONTH({name}) = 0 OR DAYOFMONTH({name}) = 0 \
         OR DAYOFMONTH({name}) > DAYOFMONTH(LAST_DAY({name})))"
    );
    Ok(match class {
        LossClass::ImpossibleDate if dated => Some(impossible),
        LossClass::DateOutside { first, end } if dated => {
            outside(&name, first, end).map(|outside| format!("({outside}) AND NOT {impossible}"))
        }
        LossClass::TimeOutside if own.kind == ColumnType::Duration => {
            Some(format!("({name} < '00:00:00' OR {name} > '24:00:00')"))
        }
        LossClass::IntegerOutside { least, most } => {
            Some(format!("({name} < {least} OR {name} > {most})"))
        }
        LossClass::DecimalOutside { whole, scale } => Some(digits(&name, *whole, *scale)),
        LossClass::Nul => Some(format!("LOCATE(X'00', {}) > 0", text_bytes(own, &name))),
        LossClass::NotText if is_text_or_bytes(own) => {
            let bytes = text_bytes(own, &name);
            Some(format!("NOT (CAST(CONVERT({bytes} USING utf8mb4) AS BINARY) <=> {bytes})"))
        }
        LossClass::Longer(most) if own.charset.is_some() => {
            Some(format!("CHAR_LENGTH({name}) > {most}"))
        }
        LossClass::Longer(most) => Some(format!("LENGTH({name}) > {most}")),
        LossClass::NotBoolean => Some(format!("{name} NOT IN (0, 1)")),
        LossClass::NotDeclared(_) if own.base == "enum" => Some(format!("({name} + 0) = 0")),
        LossClass::NotJson => Some(format!("NOT JSON_VALID({name})")),
        _ => None,
    })
}

fn is_text_or_bytes(own: &Own) -> bool {
    own.charset.is_some() || matches!(own.kind, ColumnType::Bytes(_) | ColumnType::FixedBytes(_))
}

/// The bytes of a text as they travel.
fn text_bytes(own: &Own, name: &str) -> String {
    match own.charset.as_deref() {
        None | Some("utf8mb4" | "utf8mb3" | "utf8" | "ascii") => format!("CAST({name} AS BINARY)"),
        Some(_) => format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)"),
    }
}

/// Days outside of two; those that this server has not either are not asked about.
fn outside(name: &str, first: &str, end: &str) -> Option<String> {
    let known = |day: &str| day.len() == 10 && day.starts_with(|c: char| c.is_ascii_digit());
    let below = known(first).then(|| format!("{name} < '{first}'"));
    let above = known(end).then(|| format!("{name} >= '{end}'"));
    let parts: Vec<String> = [below, above].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" OR "))
}

fn digits(name: &str, whole: u32, scale: u32) -> String {
    let mut parts = vec![format!("{name} <> TRUNCATE({name}, {scale})")];
    if whole <= 64 {
        parts.push(format!("ABS(TRUNCATE({name}, 0)) >= 1{}", "0".repeat(whole as usize)));
    }
    format!("({})", parts.join(" OR "))
}
