//! What the values of a column are, in words that no engine owns, and how they travel.
//!
//! Rows travel as Arrow arrays. Each kind has exactly one array type ([`ColumnType::arrow`]), so that
//! N readers and M writers meet. A value that no number or date type holds exactly travels as its
//! exact text.

use arrow_schema::{DataType, TimeUnit};

/// What the values of a column are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// True or false. `Boolean`.
    Bool,
    /// A signed integer of so many bits: 8, 16, 24, 32, 64. `Int64`.
    Int(u8),
    /// An unsigned integer of so many bits: 8, 16, 24, 32, 64. `UInt64`.
    Unsigned(u8),
    /// IEEE 754 with 32 bits. `Float32`.
    Float32,
    /// IEEE 754 with 64 bits. `Float64`.
    Float64,
    /// A decimal number with so many digits in all and behind the point; `None` for any. `Utf8`:
    /// plain digits with the scale kept, such as `-1.10`; `NaN`, `Infinity`, `-Infinity`.
    Decimal(Option<(u32, i32)>),
    /// Text of at most so many characters. `Utf8`.
    Text(Option<u64>),
    /// Text padded with spaces to so many characters. `Utf8`, as the engine shows it.
    Char(u64),
    /// Bytes, at most so many. `Binary`.
    Bytes(Option<u64>),
    /// Bytes, exactly so many. `Binary`.
    FixedBytes(u64),
    /// A string of bits, exactly so many. `Utf8` of `0` and `1`.
    Bits(u64),
    /// A string of at most so many bits. `Utf8` of `0` and `1`.
    VarBits(Option<u64>),
    /// A day. `Date32`: days since 1970-01-01, proleptic Gregorian; [`DATE_INFINITE`] for infinity.
    Date,
    /// A time of day, 24:00:00 included. `Time64(Microsecond)`.
    Time,
    /// A time of day with an offset, as `HH:MM:SS[.ffffff]+HH[:MM[:SS]]`. `Utf8`.
    TimeTz,
    /// A span of time in hours, minutes, seconds: MySQL's TIME. `Duration(Microsecond)`.
    Duration,
    /// A day and a time without a zone. `Timestamp(Microsecond)`; [`TIMESTAMP_INFINITE`] for infinity.
    Timestamp,
    /// A moment. `Timestamp(Microsecond, "UTC")`; [`TIMESTAMP_INFINITE`] for infinity.
    TimestampTz,
    /// A span of months, days and microseconds, as PostgreSQL writes it in style `iso_8601`. `Utf8`.
    Interval,
    /// A UUID. `FixedSizeBinary(16)`.
    Uuid,
    /// JSON as the exact text it was stored with. `Utf8`.
    Json,
    /// JSON that the engine keeps parsed: text of equal meaning. `Utf8`.
    JsonParsed,
    /// One of these texts, or the empty text where an engine has that for "none of them". `Utf8`.
    Enum(Vec<String>),
    /// Some of these texts, joined by commas in their order. `Utf8`.
    Set(Vec<String>),
    /// A calendar year of four digits, 0 included. `Int64`.
    Year,
    /// Whatever the row holds: SQLite columns that hold more than their type says. `Binary`: a byte
    /// that names the class (`i`, `r`, `t`, `b`), then the integer's digits, the eight bytes of the
    /// double (big-endian), the text, the bytes.
    Any,
    /// A type of an engine's own, by its name there; travels as the text the engine itself writes
    /// and reads. `Utf8`.
    Other(String),
}

/// Infinity of dates, later than all; its negative less one is earlier than all.
pub const DATE_INFINITE: i32 = i32::MAX;
/// As [`DATE_INFINITE`], earlier than all.
pub const DATE_MINUS_INFINITE: i32 = i32::MIN;
/// Infinity of timestamps.
pub const TIMESTAMP_INFINITE: i64 = i64::MAX;
/// As [`TIMESTAMP_INFINITE`], earlier than all.
pub const TIMESTAMP_MINUS_INFINITE: i64 = i64::MIN;

impl ColumnType {
    /// The array its values travel in.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int(_) | Self::Year => DataType::Int64,
            Self::Unsigned(_) => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Bytes(_) | Self::FixedBytes(_) | Self::Any => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Duration => DataType::Duration(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Decimal(_)
            | Self::Text(_)
            | Self::Char(_)
            | Self::Bits(_)
            | Self::VarBits(_)
            | Self::TimeTz
            | Self::Interval
            | Self::Json
            | Self::JsonParsed
            | Self::Enum(_)
            | Self::Set(_)
            | Self::Other(_) => DataType::Utf8,
        }
    }

    /// Whether every engine puts its values into the same order, so that ranges of them may be
    /// removed and copied anew on either side.
    #[must_use]
    pub fn orders_alike(&self) -> bool {
        matches!(
            self,
            Self::Int(_)
                | Self::Unsigned(_)
                | Self::Date
                | Self::Timestamp
                | Self::TimestampTz
                | Self::Year
        )
    }

    /// A name for people, in the manner of SQL.
    #[must_use]
    pub fn shown(&self) -> String {
        let most = |word: &str, most: &Option<u64>| match most {
            Some(most) => format!("{word}({most})"),
            None => word.to_owned(),
        };
        match self {
            Self::Bool => "bool".to_owned(),
            Self::Int(bits) => format!("int{bits}"),
            Self::Unsigned(bits) => format!("uint{bits}"),
            Self::Float32 => "float32".to_owned(),
            Self::Float64 => "float64".to_owned(),
            Self::Decimal(None) => "decimal".to_owned(),
            Self::Decimal(Some((digits, scale))) => format!("decimal({digits},{scale})"),
            Self::Text(length) => most("text", length),
            Self::Char(length) => format!("char({length})"),
            Self::Bytes(length) => most("bytes", length),
            Self::FixedBytes(length) => format!("fixed_bytes({length})"),
            Self::Bits(width) => format!("bits({width})"),
            Self::VarBits(width) => most("varbits", width),
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::TimeTz => "time_tz".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::TimestampTz => "timestamp_tz".to_owned(),
            Self::Interval => "interval".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Json => "json".to_owned(),
            Self::JsonParsed => "json_parsed".to_owned(),
            Self::Enum(_) => "enum".to_owned(),
            Self::Set(_) => "set".to_owned(),
            Self::Year => "year".to_owned(),
            Self::Any => "any".to_owned(),
            Self::Other(name) => format!("other({name})"),
        }
    }
}
