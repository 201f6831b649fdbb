//! How a column of each kind is kept here, and what of it cannot be.

use crate::endpoint::rows::{Home, LossClass};
use crate::model::kind::ColumnType;

/// Longest `varchar`, characters, and `bit`, bits (`MaxAttrSize`).
const LENGTH_MAX: u64 = 10_485_760;
/// Longest value, bytes.
const VALUE_BYTES_MAX: u64 = (1 << 30) - 1;
/// Digits of a `numeric` with limits.
const DIGITS_MAX: u32 = 1000;

/// The type of a column that holds values of this kind.
pub(super) fn declared(kind: &ColumnType) -> String {
    match kind {
        ColumnType::Bool => "boolean".to_owned(),
        ColumnType::Int(8 | 16) | ColumnType::Unsigned(8) | ColumnType::Year => {
            "smallint".to_owned()
        }
        ColumnType::Int(24 | 32) | ColumnType::Unsigned(16 | 24) => "integer".to_owned(),
        ColumnType::Int(_) | ColumnType::Unsigned(32) => "bigint".to_owned(),
        ColumnType::Unsigned(_) => "numeric(20,0)".to_owned(),
        ColumnType::Float32 => "real".to_owned(),
        ColumnType::Float64 => "double precision".to_owned(),
        ColumnType::Decimal(Some((digits, scale)))
            if *digits <= DIGITS_MAX && (0..=1000).contains(scale) && *digits > 0 =>
        {
            // A scale beyond the digits is known from version 15 on.
            let digits = (*digits).max(scale.unsigned_abs());
            format!("numeric({digits},{scale})")
        }
        ColumnType::Decimal(_) => "numeric".to_owned(),
        ColumnType::Text(Some(most)) if (1..=LENGTH_MAX).contains(most) => {
            format!("character varying({most})")
        }
        ColumnType::Char(length) if (1..=LENGTH_MAX).contains(length) => {
            format!("character({length})")
        }
        ColumnType::Bits(width) if (1..=LENGTH_MAX).contains(width) => format!("bit({width})"),
        ColumnType::VarBits(Some(most)) if (1..=LENGTH_MAX).contains(most) => {
            format!("bit varying({most})")
        }
        ColumnType::Bits(_) | ColumnType::VarBits(_) => "bit varying".to_owned(),
        ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any => "bytea".to_owned(),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Time => "time without time zone".to_owned(),
        ColumnType::TimeTz => "time with time zone".to_owned(),
        ColumnType::Duration | ColumnType::Interval => "interval".to_owned(),
        ColumnType::Timestamp => "timestamp without time zone".to_owned(),
        ColumnType::TimestampTz => "timestamp with time zone".to_owned(),
        ColumnType::Uuid => "uuid".to_owned(),
        ColumnType::Json => "json".to_owned(),
        ColumnType::JsonParsed => "jsonb".to_owned(),
        ColumnType::Other(name) if is_own(name) => name.clone(),
        ColumnType::Text(_)
        | ColumnType::Char(_)
        | ColumnType::Enum(_)
        | ColumnType::Set(_)
        | ColumnType::Other(_) => "text".to_owned(),
    }
}

/// Types that every server of version 12 and later has, beside those that are kinds.
const OWN: [&str; 35] = [
    "\"char\"",
    "bit varying",
    "box",
    "cidr",
    "circle",
    "daterange",
    "inet",
    "int4range",
    "int8range",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "numrange",
    "oid",
    "path",
    "pg_catalog.point",
    "pg_catalog.polygon",
    "pg_lsn",
    "tsquery",
    "tsrange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "xml",
    "regclass",
    "regtype",
    "regproc",
    "regconfig",
    "tid",
    "xid",
    "cid",
    "oidvector",
];
/// Words of types that stand in arrays beside them.
const ELEMENTS: [&str; 22] = [
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "boolean",
    "text",
    "character varying",
    "character",
    "bytea",
    "date",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "bit",
    "name",
];

/// Whether a type's name is one of this engine's own. What is in brackets must be numbers.
pub(super) fn is_own(name: &str) -> bool {
    match name.strip_suffix("[]") {
        None => OWN.contains(&name),
        Some(element) => {
            let bare = without_modifier(element);
            OWN.contains(&bare.as_str())
                || ELEMENTS.contains(&bare.as_str())
                || matches!(bare.as_str(), "point" | "polygon")
        }
    }
}

/// A type's name without the numbers in brackets.
fn without_modifier(name: &str) -> String {
    let Some((before, rest)) = name.split_once('(') else { return name.to_owned() };
    match rest.split_once(')') {
        Some((numbers, behind)) if numbers.bytes().all(|b| b.is_ascii_digit() || b == b',') => {
            format!("{before}{behind}")
        }
        _ => name.to_owned(),
    }
}

/// The home of a kind.
pub(super) fn home(kind: &ColumnType) -> Home {
    let is_text = declared(kind) == "text";
    let kept = match kind {
        ColumnType::Other(name) if !is_own(name) => ColumnType::Text(None),
        ColumnType::Set(_) => kind.clone(),
        other => other.clone(),
    };
    Home { declared: declared(kind), kind: kept, losses: losses(kind, is_text), note: note(kind) }
}

fn losses(kind: &ColumnType, is_text: bool) -> Vec<LossClass> {
    let whole = i128::from(i64::MAX);
    match kind {
        ColumnType::Text(_) | ColumnType::Char(_) | ColumnType::Json | ColumnType::JsonParsed => {
            let mut losses = vec![LossClass::Nul, LossClass::NotText];
            if matches!(kind, ColumnType::Json | ColumnType::JsonParsed) {
                losses.push(LossClass::NotJson);
            }
            losses.push(LossClass::Longer(VALUE_BYTES_MAX / 4));
            losses
        }
        ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any => {
            vec![LossClass::Longer(VALUE_BYTES_MAX)]
        }
        ColumnType::Date => vec![
            LossClass::ImpossibleDate,
            LossClass::DateOutside { first: "-4713-11-24", end: "5874898-01-01" },
        ],
        ColumnType::Timestamp | ColumnType::TimestampTz => vec![
            LossClass::ImpossibleDate,
            LossClass::DateOutside { first: "-4713-11-24", end: "294277-01-01" },
        ],
        ColumnType::Time => vec![LossClass::TimeOutside],
        ColumnType::Bool => vec![LossClass::NotBoolean],
        ColumnType::Year => vec![LossClass::IntegerOutside { least: -32_768, most: 32_767 }],
        ColumnType::Int(64) => {
            vec![LossClass::IntegerOutside { least: -whole - 1, most: whole }]
        }
        _ if is_text => vec![LossClass::Nul, LossClass::NotText],
        _ => Vec::new(),
    }
}

fn note(kind: &ColumnType) -> &'static str {
    match kind {
        ColumnType::Other(name) if !is_own(name) => {
            "a type of the source's own is kept as its text"
        }
        ColumnType::Unsigned(64) => "kept as a decimal number: there are no unsigned integers",
        ColumnType::Duration => "kept as an interval: a time of day ends at 24 hours",
        ColumnType::Enum(_) => "kept as text with a check",
        ColumnType::Set(_) => "kept as text: its members with commas between",
        ColumnType::Year => "kept as a small integer",
        ColumnType::FixedBytes(_) => "the length is not enforced",
        ColumnType::Any => "kept as bytes with the class of each value in front",
        ColumnType::JsonParsed => "the order of keys is not kept",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_of_types_never_become_sql() {
        for name in ["point", "geometry", "integer[]); DROP", "hstore", "text) --", "box(1;2)"] {
            assert_eq!(declared(&ColumnType::Other(name.to_owned())), "text", "{name}");
        }
        for name in ["inet", "integer[]", "character varying(20)[]", "numeric(10,2)[]", "point[]"] {
            assert_eq!(declared(&ColumnType::Other(name.to_owned())), name);
        }
    }
}
