//! How columns are kept in MySQL and MariaDB, and what of them cannot be.

use crate::endpoint::rows::{Home, LossClass};
use crate::model::kind::ColumnType;

use super::dialect::Mysql;
use super::types::is_spatial;

/// Longest `varchar` and `varbinary`, characters of four bytes: a row holds 65,535 bytes.
const VARIABLE_MAX: u64 = 16_383;
/// Longest `char` and `binary`.
const FIXED_MAX: u64 = 255;
/// Digits of a `decimal` in all, and behind the point where both families take them.
const DIGITS_MAX: u32 = 65;
const SCALE_MAX: i32 = 30;
/// Labels of a `set`, and bytes of all labels of an `enum` that fit a table's definition surely.
const SET_MAX: usize = 64;
const LABELS_BYTES_MAX: usize = 32 << 10;
/// Longest label, characters.
const LABEL_MAX: usize = 255;
/// Text for what has no type here and is short.
const SHORT: ColumnType = ColumnType::Text(Some(255));
/// The days that are kept: `0000-00-00` is none.
const DAYS: LossClass = LossClass::DateOutside { first: "0001-01-01", end: "10000-01-01" };

const TEXT: &str = "text compares byte by byte, so that no keys collide by case, accents or spaces";
const AS_TEXT: &str = "kept as text: there is no such type";
const UTC: &str = "kept in UTC by datetime(6): a timestamp would end in 2038";
const LOOSE: &str = "kept as text: a decimal has a fixed scale, of 65 digits at most";
const JSON_TEXT: &str = "kept as text: JSON would lose the order of its keys and its spaces";
const JSON_PARSED: &str = "keys get another order; numbers beyond 64 bits are rounded to doubles";
const LABELS: &str = "kept as text: the labels are not what an enum or set can tell apart";

/// How values of a kind are kept.
pub(super) fn home(dialect: &Mysql, kind: &ColumnType) -> Home {
    use ColumnType as K;
    let own = |declared: String, losses: Vec<LossClass>, note| Home {
        declared,
        kind: kind.clone(),
        losses,
        note,
    };
    let plain = |declared: String| own(declared, Vec::new(), "");
    let zero = if dialect.maria { "-0.0 is kept as 0" } else { "" };
    let dates = || vec![LossClass::InfiniteDate, DAYS];
    match kind {
        K::Bool => plain("tinyint(1)".to_owned()),
        K::Int(bits) => plain(int(*bits).to_owned()),
        K::Unsigned(bits) => plain(format!("{} unsigned", int(*bits))),
        K::Float32 => own("float".to_owned(), vec![LossClass::NotFinite], zero),
        K::Float64 => own("double".to_owned(), vec![LossClass::NotFinite], zero),
        K::Decimal(digits) => match digits.and_then(fixed) {
            Some(declared) => own(declared, vec![LossClass::NotFinite], ""),
            None => as_text(K::Text(None), LOOSE),
        },
        K::Text(most) => own(variable("varchar", "longtext", *most), Vec::new(), TEXT),
        K::Char(length) if (1..=FIXED_MAX).contains(length) => plain(format!("char({length})")),
        K::Char(length) => plain(variable("varchar", "longtext", Some(*length))),
        K::Bytes(most) => plain(variable("varbinary", "longblob", *most)),
        K::FixedBytes(length) if (1..=FIXED_MAX).contains(length) => {
            plain(format!("binary({length})"))
        }
        K::FixedBytes(length) => plain(variable("varbinary", "longblob", Some(*length))),
        K::Bits(width) if (1..=64).contains(width) => plain(format!("bit({width})")),
        K::Date => own("date".to_owned(), dates(), ""),
        K::Time | K::Duration => plain("time(6)".to_owned()),
        K::Timestamp => own("datetime(6)".to_owned(), dates(), ""),
        K::TimestampTz => own("datetime(6)".to_owned(), dates(), UTC),
        K::Uuid if dialect.uuid => plain("uuid".to_owned()),
        K::Uuid => plain("char(36) CHARACTER SET ascii COLLATE ascii_bin".to_owned()),
        K::Json if dialect.maria => own("json".to_owned(), vec![LossClass::NotJson], ""),
        K::Json => own("longtext".to_owned(), Vec::new(), JSON_TEXT),
        K::JsonParsed if dialect.maria => own("json".to_owned(), vec![LossClass::NotJson], ""),
        K::JsonParsed => own("json".to_owned(), vec![LossClass::NotJson], JSON_PARSED),
        K::Enum(labels) if distinct(labels) => plain(format!("enum({})", list(labels))),
        K::Set(labels) if distinct(labels) && labels.len() <= SET_MAX && apart(labels) => {
            plain(format!("set({})", list(labels)))
        }
        K::Enum(_) | K::Set(_) => as_text(K::Text(None), LABELS),
        K::Year => plain("year".to_owned()),
        K::Any => plain("longblob".to_owned()),
        K::TimeTz | K::Interval => as_text(SHORT, AS_TEXT),
        K::Other(name) if is_spatial(name) => plain(name.clone()),
        K::Other(name) if dialect.maria && matches!(name.as_str(), "inet4" | "inet6") => {
            plain(name.clone())
        }
        K::Bits(_) | K::VarBits(_) | K::Other(_) => as_text(K::Text(None), AS_TEXT),
    }
}

fn as_text(kind: ColumnType, note: &'static str) -> Home {
    let most = if let ColumnType::Text(most) = kind { most } else { None };
    Home { declared: variable("varchar", "longtext", most), kind, losses: Vec::new(), note }
}

fn int(bits: u8) -> &'static str {
    match bits {
        0..=8 => "tinyint",
        9..=16 => "smallint",
        17..=24 => "mediumint",
        25..=32 => "int",
        _ => "bigint",
    }
}

/// A decimal of so many digits; a negative scale means zeros in front of the point.
fn fixed((digits, scale): (u32, i32)) -> Option<String> {
    let (digits, scale) = match scale {
        ..0 => (digits.checked_add(scale.unsigned_abs())?, 0),
        0.. => (digits.max(scale.unsigned_abs()), scale),
    };
    let fits = (1..=DIGITS_MAX).contains(&digits) && scale <= SCALE_MAX;
    fits.then(|| format!("decimal({digits},{scale})"))
}

fn variable(short: &str, long: &str, most: Option<u64>) -> String {
    match most.filter(|most| *most <= VARIABLE_MAX) {
        Some(most) => format!("{short}({most})"),
        None => long.to_owned(),
    }
}

/// Whether labels stay what they are: spaces behind them would be cut, the empty one is an error's.
fn distinct(labels: &[String]) -> bool {
    let sound = |label: &String| {
        !label.is_empty() && !label.ends_with(' ') && label.chars().count() <= LABEL_MAX
    };
    let bytes: usize = labels.iter().map(String::len).sum();
    !labels.is_empty() && bytes <= LABELS_BYTES_MAX && labels.iter().all(sound)
}

fn apart(labels: &[String]) -> bool {
    !labels.iter().any(|label| label.contains(','))
}

fn list(labels: &[String]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| super::escape::literal(label)).collect();
    labels.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(kind: ColumnType) -> String {
        home(&Mysql { maria: true, uuid: false }, &kind).declared
    }

    #[test]
    fn every_kind_has_a_home() {
        assert_eq!(declared(ColumnType::Unsigned(24)), "mediumint unsigned");
        assert_eq!(declared(ColumnType::Decimal(Some((5, -2)))), "decimal(7,0)");
        assert_eq!(declared(ColumnType::Decimal(Some((3, 5)))), "decimal(5,5)");
        assert_eq!(declared(ColumnType::Decimal(Some((66, 0)))), "longtext");
        assert_eq!(declared(ColumnType::Text(Some(70_000))), "longtext");
        assert_eq!(declared(ColumnType::Bits(65)), "longtext");
        assert_eq!(declared(ColumnType::Other("point".to_owned())), "point");
        let labels = |list: &[&str]| list.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        assert_eq!(declared(ColumnType::Enum(labels(&["a", "b'"]))), r"enum('a','b\'')");
        assert_eq!(declared(ColumnType::Enum(labels(&["a", ""]))), "longtext");
        assert_eq!(declared(ColumnType::Set(labels(&["a,b"]))), "longtext");
    }
}
