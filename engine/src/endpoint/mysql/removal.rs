//! Takes the rows of a range out, to copy it anew.

use crate::endpoint::sql::dialect::Dialect as _;
use crate::endpoint::sql::range::condition;
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::Table;
use crate::model::forms;
use crate::model::kind::ColumnType;
use crate::model::rows::Range;

use super::calendar::{DAY, FIRST_DAY, LAST_DAY, write_date, write_timestamp};
use super::dialect::Mysql;

/// The statement. Ends are in the words of the engine that was read: only where every engine has the
/// same order are they ends here too.
///
/// # Errors
/// `Unsupported` for a range that is not of such a column, or ends beyond what is kept here.
pub(super) fn removal(table: &Table, range: &Range) -> Result<String> {
    let dialect = Mysql::NAMES;
    let from = dialect.quote_table(&table.name)?;
    let odd = || {
        let message = "MySQL cannot tell the rows of this range apart";
        EngineError::new(Kind::Unsupported, message).at(table.name.shown())
    };
    let (column, ends) = match range {
        Range::Whole => return Ok(format!("DELETE FROM {from}")),
        Range::Keys { column, from, to } => (column, (from.as_deref(), to.as_deref())),
        Range::Pages { .. } | Range::Rows { .. } => return Err(odd()),
    };
    let kind = &table.column(column).ok_or_else(odd)?.kind;
    for end in [ends.0, ends.1].into_iter().flatten() {
        literal(kind, end).ok_or_else(odd)?;
    }
    let made = |end: &str| literal(kind, end).unwrap_or_default();
    let only = condition(&dialect, column, ends, "", made)?;
    Ok(if only.is_empty() {
        format!("DELETE FROM {from}")
    } else {
        format!("DELETE FROM {from} WHERE {only}")
    })
}

/// An end as a literal; `None` for a kind whose order is not every engine's, and what is no end.
fn literal(kind: &ColumnType, end: &str) -> Option<String> {
    let days = |days: i32| (FIRST_DAY..=LAST_DAY).contains(&days);
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).ok().map(|text| format!("'{text}'"))
    };
    match kind {
        ColumnType::Int(_) | ColumnType::Unsigned(_) | ColumnType::Year => {
            end.parse::<i128>().ok().map(|number| number.to_string())
        }
        ColumnType::Date => {
            let day = forms::read_date(end).filter(|day| days(*day))?;
            text(&|out| write_date(day, out))
        }
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            let read = forms::read_timestamp(end, false).or(forms::read_timestamp(end, true));
            let moment =
                read.filter(|micros| i32::try_from(micros.div_euclid(DAY)).is_ok_and(days))?;
            text(&|out| write_timestamp(moment, out))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_other_engines_are_read_and_never_copied() {
        let of = |kind: &ColumnType, end: &str| literal(kind, end);
        assert_eq!(of(&ColumnType::Int(64), "-7").as_deref(), Some("-7"));
        assert_eq!(of(&ColumnType::Int(64), "1 OR 1"), None);
        let zoned = of(&ColumnType::TimestampTz, "2024-01-01 01:00:00+01");
        assert_eq!(zoned.as_deref(), Some("'2024-01-01 00:00:00'"));
        assert_eq!(of(&ColumnType::Date, "infinity"), None);
        assert_eq!(of(&ColumnType::Text(None), "a"), None);
    }
}
