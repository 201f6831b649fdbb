//! Conditions for a part of a table.

use crate::endpoint::sql::dialect::Dialect;
use crate::error::Result;

/// The condition for rows that have one of some keys, beside a filter. `literal` makes the engine's own
/// literal of a column's value.
///
/// # Errors
/// As [`Dialect::quote`]; those of `literal`.
pub fn listed(
    dialect: &impl Dialect,
    columns: &[String],
    keys: &[Vec<String>],
    filter: &str,
    mut literal: impl FnMut(&str, &str) -> Result<String>,
) -> Result<String> {
    let mut any = Vec::with_capacity(keys.len());
    for key in keys {
        let mut all = Vec::with_capacity(columns.len());
        for (column, value) in columns.iter().zip(key) {
            all.push(format!("{} = {}", dialect.quote(column)?, literal(column, value)?));
        }
        any.push(format!("({})", all.join(" AND ")));
    }
    let any = if any.is_empty() { "1 = 0".to_owned() } else { any.join(" OR ") };
    let filter = if filter.is_empty() { String::new() } else { format!(" AND ({filter})") };
    Ok(format!("({any}){filter}"))
}

/// The condition for `from <= column < to` beside a filter; empty for every row. `literal` makes the
/// engine's own literal of an end.
///
/// # Errors
/// As [`Dialect::quote`].
pub fn condition(
    dialect: &impl Dialect,
    column: &str,
    (from, to): (Option<&str>, Option<&str>),
    filter: &str,
    literal: impl Fn(&str) -> String,
) -> Result<String> {
    let column = dialect.quote(column)?;
    let mut parts = Vec::new();
    if let Some(from) = from {
        parts.push(format!("{column} >= {}", literal(from)));
    }
    match (from, to) {
        (None, Some(to)) => {
            parts.push(format!("({column} < {to} OR {column} IS NULL)", to = literal(to)))
        }
        (_, Some(to)) => parts.push(format!("{column} < {}", literal(to))),
        (_, None) => {}
    }
    if !filter.is_empty() {
        parts.push(format!("({filter})"));
    }
    Ok(parts.join(" AND "))
}
