//! Whether rows can go into a table that stands: each value must arrive as it is. Engines make others
//! of what does not fit a column (a rounded number, a double, an integer of a text), some of them
//! without a word.

use crate::endpoint::rows::{LossClass, Question, untransacted};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{Column, Table};
use crate::model::kind::ColumnType;
use crate::table::mapping::TablePlan;

/// Makes a plan fit a table that stands; what its columns hold less of becomes a question of the
/// census.
///
/// # Errors
/// `SchemaMismatch` where a column is not there, needs a value that is not sent, or would make other
/// values of those that come; where the table's storage engine keeps no transactions.
pub fn fit(plan: &mut TablePlan, there: &Table) -> Result<()> {
    let refused = |message: String| {
        Err(EngineError::new(Kind::SchemaMismatch, message).at(there.name.shown()))
    };
    if let Some(engine) = &there.untransacted {
        return Err(untransacted(&there.name, engine));
    }
    let masked: Vec<bool> = plan.masks.iter().map(Option::is_some).collect();
    let columns = plan.read.iter_mut().zip(&mut plan.write).zip(&mut plan.casts);
    for (((read, write), cast), masked) in columns.zip(masked) {
        let Some(column) = there.column(&write.name) else {
            return refused(format!("the table at the target has no column {}", write.name));
        };
        if column.generated.is_some() {
            return refused(format!("the column {} at the target is generated", write.name));
        }
        let planned = plan.target.column(&write.name).map_or("", |made| made.declared.as_str());
        if is_declared(planned, &column.declared) {
            continue;
        }
        let Some(losses) = held(&write.kind, &column.kind) else {
            let (name, kind, own) = (&write.name, write.kind.shown(), &column.declared);
            return refused(format!(
                "the column {name} at the target is {own}, which makes other values of {kind}"
            ));
        };
        if masked {
            // What comes is not what the source holds, so that there is nothing to ask it.
            continue;
        }
        if let Some(cast) = cast {
            cast.bounds.extend(losses);
            continue;
        }
        let ask = |class| Question { column: read.name.clone(), class };
        plan.questions.extend(losses.into_iter().map(ask));
        if travels_as(&write.kind, &column.kind) {
            read.kind = column.kind.clone();
            write.kind = column.kind.clone();
        }
    }
    let needed = |column: &&Column| {
        let filled = column.nullable
            || column.default.is_some()
            || column.identity.is_some()
            || column.generated.is_some();
        !filled && !plan.write.iter().any(|cell| cell.name == column.name)
    };
    match there.columns.iter().find(needed) {
        None => Ok(()),
        Some(column) => refused(format!("the column {} at the target needs a value", column.name)),
    }
}

/// Rows are merged by the key that the table has: another one would find other rows.
///
/// # Errors
/// `SchemaMismatch` where the keys differ.
pub fn same_key(plan: &TablePlan, there: &Table) -> Result<()> {
    let columns = |table: &Table| {
        let mut columns = table.primary_key.clone().unwrap_or_default().columns;
        columns.sort();
        columns
    };
    if columns(&plan.target) == columns(there) {
        return Ok(());
    }
    let message = "the table at the target has another primary key, by which no row is found";
    Err(EngineError::new(Kind::SchemaMismatch, message).at(there.name.shown()))
}

/// Whether a column that stands is what would have been made, perhaps without its character set.
fn is_declared(planned: &str, there: &str) -> bool {
    let (planned, there) = (planned.to_ascii_lowercase(), there.to_ascii_lowercase());
    let rest = planned.strip_prefix(&there);
    !there.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whether values of the one kind are read and written as the other, so that the reader knows what
/// does not fit.
fn travels_as(kind: &ColumnType, there: &ColumnType) -> bool {
    use ColumnType::{Decimal, Int, Unsigned};
    matches!(
        (kind, there),
        (Int(_), Int(_)) | (Unsigned(_), Unsigned(_)) | (Decimal(_), Decimal(_))
    )
}

/// What a column of another kind does not hold; `None` where it would make other values of these.
fn held(kind: &ColumnType, there: &ColumnType) -> Option<Vec<LossClass>> {
    use ColumnType::{Any, Bits, Bool, Bytes, Decimal, FixedBytes, Int, Text, VarBits};
    if kind == there || *there == Any {
        return Some(Vec::new());
    }
    if let Some((least, most)) = integers(kind) {
        return integer_in(least, most, there);
    }
    Some(match (kind, there) {
        (Bool, Int(_)) => Vec::new(),
        (Decimal(_), Decimal(None)) => Vec::new(),
        (Decimal(size), Decimal(Some(there))) => {
            let (whole, scale) = parts(*there);
            let holds = size.is_some_and(|size| parts(size).0 <= whole && parts(size).1 <= scale);
            if holds { Vec::new() } else { vec![LossClass::DecimalOutside { whole, scale }] }
        }
        (ColumnType::Enum(own), ColumnType::Enum(there))
        | (ColumnType::Set(own), ColumnType::Set(there)) => {
            own.iter().all(|label| there.contains(label)).then(Vec::new)?
        }
        (Bits(width), VarBits(most)) => longer(Some(*width), *most),
        (Bytes(length), Bytes(most)) => longer(*length, *most),
        (FixedBytes(length), Bytes(most)) => longer(Some(*length), *most),
        (Text(length), Text(most)) => longer(*length, *most),
        (ColumnType::Char(length), Text(most)) => longer(Some(*length), *most),
        (ColumnType::Json | ColumnType::JsonParsed, ColumnType::Json | ColumnType::JsonParsed) => {
            Vec::new()
        }
        (kind, Text(most)) if kind.arrow() == there.arrow() => longer(None, *most),
        _ => return None,
    })
}

fn longer(length: Option<u64>, most: Option<u64>) -> Vec<LossClass> {
    match most {
        Some(most) if length.is_none_or(|length| length > most) => vec![LossClass::Longer(most)],
        _ => Vec::new(),
    }
}

/// The least and the greatest integer of a kind of integers.
fn integers(kind: &ColumnType) -> Option<(i128, i128)> {
    Some(match kind {
        ColumnType::Int(bits) => {
            let most = (1i128 << (u32::from(*bits) - 1)) - 1;
            (-most - 1, most)
        }
        ColumnType::Unsigned(bits) => (0, (1i128 << u32::from(*bits)) - 1),
        ColumnType::Year => (0, 9999),
        _ => return None,
    })
}

fn integer_in(least: i128, most: i128, there: &ColumnType) -> Option<Vec<LossClass>> {
    let (low, high) = match there {
        ColumnType::Decimal(None) => return Some(Vec::new()),
        ColumnType::Decimal(Some(size)) => {
            // Ten to the 38th is the last that is counted in 128 bits, and more than any integer.
            let most = 10i128.pow(parts(*size).0.min(38)) - 1;
            (-most, most)
        }
        // Of the years, an engine takes 1901 to 2155, and 0.
        ColumnType::Year => return None,
        there => integers(there)?,
    };
    let holds = low <= least && most <= high;
    let outside = LossClass::IntegerOutside { least: low, most: high };
    Some(if holds { Vec::new() } else { vec![outside] })
}

/// Digits in front of the point, and behind it.
fn parts((digits, scale): (u32, i32)) -> (u32, u32) {
    let whole = i64::from(digits) - i64::from(scale);
    (u32::try_from(whole).unwrap_or(0), u32::try_from(scale).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use ColumnType::{
        Any, Bytes, Char, Date, Decimal, FixedBytes, Float32, Float64, Int, Text, Timestamp,
        TimestampTz, Unsigned, Uuid,
    };

    use super::*;

    #[test]
    fn columns_that_hold_every_value_take_it_and_others_ask() {
        let integer = |least, most| vec![LossClass::IntegerOutside { least, most }];
        let decimal = |whole, scale| vec![LossClass::DecimalOutside { whole, scale }];
        for (kind, there, wanted) in [
            (Int(32), Int(64), Some(vec![])),
            (Int(64), Int(8), Some(integer(-128, 127))),
            (Unsigned(32), Int(64), Some(vec![])),
            (Int(16), Unsigned(16), Some(integer(0, 65_535))),
            (Unsigned(64), Decimal(Some((20, 0))), Some(vec![])),
            (Int(64), Decimal(Some((5, 2))), Some(integer(-999, 999))),
            (Decimal(Some((10, 4))), Decimal(Some((10, 2))), Some(decimal(8, 2))),
            (Decimal(Some((10, 2))), Decimal(Some((12, 4))), Some(vec![])),
            (Decimal(None), Decimal(Some((4, 0))), Some(decimal(4, 0))),
            (Text(Some(9)), Text(Some(9)), Some(vec![])),
            (Text(None), Text(Some(9)), Some(vec![LossClass::Longer(9)])),
            (ColumnType::Interval, Text(None), Some(vec![])),
            (FixedBytes(4), Bytes(None), Some(vec![])),
            (Int(64), Any, Some(vec![])),
            (Text(Some(3)), Char(3), None),
            (Bytes(Some(3)), FixedBytes(3), None),
            (Int(64), Float64, None),
            (Float32, Float64, None),
            (Float64, Int(64), None),
            (Text(None), Int(64), None),
            (Text(None), Decimal(None), None),
            (Int(64), Text(None), None),
            (Int(64), Date, None),
            (Timestamp, TimestampTz, None),
            (Uuid, Text(None), None),
        ] {
            assert_eq!(held(&kind, &there), wanted, "{kind:?} {there:?}");
        }
    }

    #[test]
    fn what_would_have_been_made_is_taken() {
        assert!(is_declared("CHAR(36) CHARACTER SET ascii", "char(36)"));
        assert!(is_declared("double precision", "DOUBLE"));
        assert!(!is_declared("DATETIME(6)", "date") && !is_declared("TIMESTAMP(6)", "timestamp"));
        assert!(!is_declared("TEXT", ""));
    }
}
