//! Conditions for a part of a table.

use crate::endpoint::sql::dialect::Dialect;
use crate::error::Result;

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
