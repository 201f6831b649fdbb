//! What a declared type stands for, and how a kind is declared.
//!
//! Any word may be a type in SQLite; only its affinity has a meaning: `INT` in it makes an integer,
//! else `CHAR`, `CLOB`, `TEXT` text, `BLOB` nothing, `REAL`, `FLOA`, `DOUB` a double, and any other
//! word a number where the text looks like one. So a type of ours bears a name that is read back as
//! its kind, and whose affinity leaves its values alone: decimals are kept as text, since any number
//! with a point becomes a binary double. Usual words keep their usual width: `INT` and `SMALLINT`
//! are 64 bits here, as they are to every program that uses them; the narrow ones are `INT4` and the
//! like.

use crate::endpoint::rows::{Home, LossClass};
use crate::model::kind::ColumnType;

/// The kind of a column of this declared type.
#[must_use]
pub fn kind(declared: &str) -> ColumnType {
    let (word, sizes) = taken_apart(declared);
    let size = sizes.first().and_then(|size| u64::try_from(*size).ok()).filter(|size| *size > 0);
    let decimal = || match sizes.as_slice() {
        [digits, rest @ ..] => {
            let scale = rest.first().copied().unwrap_or(0);
            u32::try_from(*digits).ok().zip(i32::try_from(scale).ok())
        }
        [] => None,
    };
    match word.as_str() {
        "" | "ANY_BLOB" => ColumnType::Any,
        "BOOLEAN" | "BOOL" => ColumnType::Bool,
        "INT1" => ColumnType::Int(8),
        "INT2" => ColumnType::Int(16),
        "INT3" => ColumnType::Int(24),
        "INT4" => ColumnType::Int(32),
        "UINT1" => ColumnType::Unsigned(8),
        "UINT2" => ColumnType::Unsigned(16),
        "UINT3" => ColumnType::Unsigned(24),
        "UINT4" => ColumnType::Unsigned(32),
        "UINT8" => ColumnType::Unsigned(64),
        "FLOAT4" => ColumnType::Float32,
        "DECIMAL" | "NUMERIC" | "NUMBER" | "DECIMAL_TEXT" => ColumnType::Decimal(decimal()),
        "BPCHAR" => size.map_or(ColumnType::Text(None), ColumnType::Char),
        "VARBINARY" | "BINARY" => ColumnType::Bytes(size),
        "FIXED_BLOB" => size.map_or(ColumnType::Bytes(None), ColumnType::FixedBytes),
        "BIT_TEXT" => size.map_or(ColumnType::VarBits(None), ColumnType::Bits),
        "VARBIT_TEXT" => ColumnType::VarBits(size),
        "DATE" => ColumnType::Date,
        "TIME" => ColumnType::Time,
        "TIMETZ" => ColumnType::TimeTz,
        "DURATION" => ColumnType::Duration,
        "DATETIME" | "TIMESTAMP" => ColumnType::Timestamp,
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => ColumnType::TimestampTz,
        "INTERVAL_TEXT" => ColumnType::Interval,
        "UUID" => ColumnType::Uuid,
        "JSON" | "JSON_TEXT" => ColumnType::Json,
        "JSONB_TEXT" => ColumnType::JsonParsed,
        "YEAR" => ColumnType::Year,
        word => by_affinity(word, size),
    }
}

/// What the library itself makes of a word.
fn by_affinity(word: &str, size: Option<u64>) -> ColumnType {
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    if has(&["INT"]) {
        ColumnType::Int(64)
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        ColumnType::Text(size)
    } else if has(&["BLOB"]) {
        ColumnType::Bytes(size)
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        ColumnType::Float64
    } else if word == "ANY" {
        ColumnType::Any
    } else {
        ColumnType::Decimal(None)
    }
}

/// The word in upper case, its spaces made single, and the numbers behind it.
fn taken_apart(declared: &str) -> (String, Vec<i64>) {
    let (word, rest) = declared.split_once('(').unwrap_or((declared, ""));
    let word: Vec<&str> = word.split_ascii_whitespace().collect();
    let sizes = rest.split(')').next().unwrap_or_default().split(',');
    let sizes = sizes.map_while(|size| size.trim().parse().ok()).collect();
    (word.join(" ").to_ascii_uppercase(), sizes)
}

/// How a kind is kept.
#[must_use]
pub fn home(kind: &ColumnType) -> Home {
    let (kind, note) = match kind {
        ColumnType::Enum(_) | ColumnType::Set(_) | ColumnType::Other(_) => {
            (ColumnType::Text(None), "kept as text")
        }
        ColumnType::Float32 | ColumnType::Float64 => {
            (kind.clone(), "NaN and -0.0, which no REAL column keeps, are the texts NaN and -zero")
        }
        ColumnType::Decimal(_) => (kind.clone(), "kept as text, which is exact; sorts as text"),
        kind => (kind.clone(), ""),
    };
    // Beyond 63 bits an integer would become a double.
    let losses = match &kind {
        ColumnType::Unsigned(64) => {
            vec![LossClass::IntegerOutside { least: 0, most: i128::from(i64::MAX) }]
        }
        _ => Vec::new(),
    };
    Home { declared: declared(&kind), kind, losses, note }
}

/// The type that [`kind`] reads as this kind, or as text where SQLite has none for it.
#[must_use]
pub fn declared(kind: &ColumnType) -> String {
    let sized = |word: &str, size: &Option<u64>| match size {
        Some(size) => format!("{word}({size})"),
        None => word.to_owned(),
    };
    match kind {
        ColumnType::Bool => "BOOLEAN".to_owned(),
        ColumnType::Int(bits @ 8..=32) => format!("INT{}", bits / 8),
        ColumnType::Int(_) => "INTEGER".to_owned(),
        ColumnType::Unsigned(bits) => format!("UINT{}", bits / 8),
        ColumnType::Float32 => "FLOAT4".to_owned(),
        ColumnType::Float64 => "REAL".to_owned(),
        ColumnType::Decimal(None) => "DECIMAL_TEXT".to_owned(),
        ColumnType::Decimal(Some((digits, scale))) => format!("DECIMAL_TEXT({digits},{scale})"),
        ColumnType::Text(None) => "TEXT".to_owned(),
        ColumnType::Text(size) => sized("VARCHAR", size),
        ColumnType::Char(size) => format!("BPCHAR({size})"),
        ColumnType::Bytes(size) => sized("BLOB", size),
        ColumnType::FixedBytes(size) => format!("FIXED_BLOB({size})"),
        ColumnType::Bits(width) => format!("BIT_TEXT({width})"),
        ColumnType::VarBits(width) => sized("VARBIT_TEXT", width),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Time => "TIME".to_owned(),
        ColumnType::TimeTz => "TIMETZ".to_owned(),
        ColumnType::Duration => "DURATION".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::TimestampTz => "TIMESTAMPTZ".to_owned(),
        ColumnType::Interval => "INTERVAL_TEXT".to_owned(),
        ColumnType::Uuid => "UUID".to_owned(),
        ColumnType::Json => "JSON_TEXT".to_owned(),
        ColumnType::JsonParsed => "JSONB_TEXT".to_owned(),
        ColumnType::Year => "YEAR".to_owned(),
        ColumnType::Any => String::new(),
        ColumnType::Enum(_) | ColumnType::Set(_) | ColumnType::Other(_) => "TEXT".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_back_from_its_declaration() {
        let mut kinds = vec![
            ColumnType::Bool,
            ColumnType::Float32,
            ColumnType::Float64,
            ColumnType::Decimal(None),
            ColumnType::Decimal(Some((10, 2))),
            ColumnType::Decimal(Some((5, -3))),
            ColumnType::Text(None),
            ColumnType::Text(Some(20)),
            ColumnType::Char(3),
            ColumnType::Bytes(None),
            ColumnType::Bytes(Some(9)),
            ColumnType::FixedBytes(16),
            ColumnType::Bits(8),
            ColumnType::VarBits(None),
            ColumnType::VarBits(Some(70)),
            ColumnType::Date,
            ColumnType::Time,
            ColumnType::TimeTz,
            ColumnType::Duration,
            ColumnType::Timestamp,
            ColumnType::TimestampTz,
            ColumnType::Interval,
            ColumnType::Uuid,
            ColumnType::Json,
            ColumnType::JsonParsed,
            ColumnType::Year,
            ColumnType::Any,
        ];
        kinds.extend([8, 16, 24, 32, 64].map(ColumnType::Int));
        kinds.extend([8, 16, 24, 32, 64].map(ColumnType::Unsigned));
        for wanted in kinds {
            let home = home(&wanted);
            assert_eq!((kind(&home.declared), &home.kind), (wanted.clone(), &wanted));
        }
        let words = ColumnType::Enum(vec!["a".to_owned()]);
        assert_eq!(kind(&home(&words).declared), home(&words).kind);
    }

    #[test]
    fn words_of_others_mean_what_they_mean_to_sqlite() {
        for (declared, wanted) in [
            ("integer", ColumnType::Int(64)),
            ("UNSIGNED  BIG INT", ColumnType::Int(64)),
            ("tinyint(1)", ColumnType::Int(64)),
            ("varchar ( 255 )", ColumnType::Text(Some(255))),
            ("NATIVE CHARACTER(70)", ColumnType::Text(Some(70))),
            ("CHAR(4)", ColumnType::Text(Some(4))),
            ("double precision", ColumnType::Float64),
            ("decimal(10, 5)", ColumnType::Decimal(Some((10, 5)))),
            ("numeric(3)", ColumnType::Decimal(Some((3, 0)))),
            ("STRING", ColumnType::Decimal(None)),
            ("FLOATING POINT", ColumnType::Int(64)),
            ("datetime", ColumnType::Timestamp),
            ("", ColumnType::Any),
        ] {
            assert_eq!(kind(declared), wanted, "{declared}");
        }
    }
}
