//! How a column is asked for, and in which form its values come.

use crate::endpoint::postgres::columns::Known;
use crate::error::{EngineError, Kind, Result};
use crate::model::kind::ColumnType;
use crate::model::rows::Cell;

/// The binary form of a value on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Jsonb,
    Bytes,
    Date,
    Time,
    /// With a zone and without: both are microseconds.
    Timestamp,
    Interval,
    Uuid,
}

/// A column in a list of what is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// What follows its quoted name: a cast, or nothing.
    pub(super) cast: &'static str,
    /// The form of what comes.
    pub(super) form: Form,
}

/// The form in which a type's values come by themselves; `None` where only their text is exact here.
pub(super) fn own_form(column: &Known) -> Option<Form> {
    Some(match column.base.oid {
        16 => Form::Bool,
        17 => Form::Bytes,
        20 => Form::Int8,
        21 => Form::Int2,
        23 => Form::Int4,
        700 => Form::Float4,
        701 => Form::Float8,
        19 | 25 | 114 | 1042 | 1043 => Form::Text,
        1082 => Form::Date,
        1083 => Form::Time,
        1114 | 1184 => Form::Timestamp,
        1186 => Form::Interval,
        1700 => Form::Numeric,
        2950 => Form::Uuid,
        3802 => Form::Jsonb,
        _ if column.base.class == "e" => Form::Text,
        _ => return None,
    })
}

/// How a column is asked for so that its values become a cell's.
///
/// # Errors
/// `SchemaMismatch` where no way keeps them.
pub(super) fn ask(column: &Known, cell: &Cell) -> Result<Asked> {
    use Form::{
        Bool, Bytes, Date, Float4, Float8, Int2, Int4, Int8, Interval, Jsonb, Numeric, Text, Time,
        Timestamp, Uuid,
    };
    let own = own_form(column);
    let plain = |form| Ok(Asked { cast: "", form });
    let cast = |cast, form| Ok(Asked { cast, form });
    match (&cell.kind, own) {
        (
            ColumnType::Bool | ColumnType::Int(_) | ColumnType::Unsigned(_) | ColumnType::Year,
            Some(form @ (Bool | Int2 | Int4 | Int8 | Numeric | Text)),
        ) => plain(form),
        (ColumnType::Float32 | ColumnType::Float64, Some(form @ (Float4 | Float8))) => plain(form),
        (ColumnType::Float32 | ColumnType::Float64, Some(Int2 | Int4 | Int8 | Numeric | Text)) => {
            cast("::text", Text)
        }
        (ColumnType::Decimal(_), Some(form @ (Numeric | Int2 | Int4 | Int8))) => plain(form),
        (ColumnType::Decimal(_), Some(Text)) => plain(Text),
        (ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any, Some(Bytes)) => {
            plain(Bytes)
        }
        (ColumnType::Bytes(_), Some(Text)) => plain(Text),
        (ColumnType::Date, Some(Date)) => plain(Date),
        (ColumnType::Time, Some(Time)) => plain(Time),
        (ColumnType::Timestamp | ColumnType::TimestampTz, Some(Timestamp)) => plain(Timestamp),
        (ColumnType::Timestamp | ColumnType::TimestampTz, Some(Date)) => {
            cast("::pg_catalog.timestamp", Timestamp)
        }
        (ColumnType::Duration, Some(Interval)) => plain(Interval),
        (ColumnType::Duration, Some(Time)) => cast("::pg_catalog.interval", Interval),
        (ColumnType::Uuid, Some(Uuid)) => plain(Uuid),
        (kind, Some(form @ (Text | Jsonb | Numeric))) if is_text(kind) => plain(form),
        (kind, _) if is_text(kind) => cast("::pg_catalog.text", Text),
        (kind, _) => {
            let (name, declared) = (&column.name, &column.declared);
            let message =
                format!("the column {name} of type {declared} cannot be read as {}", kind.shown());
            Err(EngineError::new(Kind::SchemaMismatch, message))
        }
    }
}

fn is_text(kind: &ColumnType) -> bool {
    kind.arrow() == arrow_schema::DataType::Utf8
}

/// Whether values of a column are this kind's by themselves. An enum is kept as text elsewhere, and is
/// read back from there as the enum that it was.
pub(super) fn is_own(column: &Known, kind: &ColumnType) -> bool {
    let is_enum = matches!(kind, ColumnType::Enum(_)) && own_form(column) == Some(Form::Text);
    is_enum || column.base.kind() == *kind
}
