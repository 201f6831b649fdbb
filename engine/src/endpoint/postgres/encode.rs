//! Arrays into rows of binary `COPY`, by the real types of the columns they go to.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, DurationMicrosecondType, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{
    Array, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow_schema::{DataType, TimeUnit};

use crate::endpoint::postgres::columns::Known;
use crate::endpoint::postgres::decode::{DAY_US, EPOCH_DAYS, EPOCH_US};
use crate::endpoint::postgres::numeric;
use crate::endpoint::postgres::project::{Form, own_form};
use crate::error::{EngineError, Kind, Result};
use crate::model::kind::{
    ColumnType, DATE_INFINITE, DATE_MINUS_INFINITE, TIMESTAMP_INFINITE, TIMESTAMP_MINUS_INFINITE,
};
use crate::model::rows::Cell;

/// Longest value that the server takes, bytes.
const VALUE_BYTES_MAX: usize = (1 << 30) - 1;
/// `bit` and `bit varying`.
const BITS: [u32; 2] = [1560, 1562];

/// How the values of a cell become those of a column.
#[derive(Clone, Debug)]
pub(super) struct To {
    /// The binary form; `None` where only text does it.
    pub(super) form: Option<BinaryForm>,
    /// Digits behind the point, or of a second, that the column keeps.
    pub(super) scale: Option<usize>,
}

/// The binary form of a column that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryForm {
    Known(Form),
    Bits,
}

/// How a cell goes to a column.
pub(super) fn to(cell: &Cell, column: &Known) -> To {
    To { form: form(cell, column), scale: scale(column) }
}

fn form(cell: &Cell, column: &Known) -> Option<BinaryForm> {
    use Form::{
        Bool, Bytes, Date, Float4, Float8, Int2, Int4, Int8, Interval, Jsonb, Numeric, Text, Time,
        Timestamp, Uuid,
    };
    if BITS.contains(&column.base.oid) {
        let is_bits = matches!(cell.kind, ColumnType::Bits(_) | ColumnType::VarBits(_));
        return is_bits.then_some(BinaryForm::Bits);
    }
    let form = own_form(column)?;
    let fits = match (&cell.kind, form) {
        (ColumnType::Bool, Bool)
        | (
            ColumnType::Int(_) | ColumnType::Unsigned(_) | ColumnType::Year,
            Int2 | Int4 | Int8 | Numeric,
        )
        | (ColumnType::Float32, Float4 | Float8)
        | (ColumnType::Float64, Float8)
        | (ColumnType::Decimal(_), Numeric)
        | (ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any, Bytes)
        | (ColumnType::Date, Date)
        | (ColumnType::Time, Time)
        | (ColumnType::Duration, Interval)
        | (ColumnType::Uuid, Uuid) => true,
        (ColumnType::Timestamp, Timestamp) => column.base.oid == 1114,
        (ColumnType::TimestampTz, Timestamp) => column.base.oid == 1184,
        (kind, Text | Jsonb) => kind.arrow() == DataType::Utf8,
        _ => false,
    };
    fits.then_some(BinaryForm::Known(form))
}

/// What the server would round away in silence.
fn scale(column: &Known) -> Option<usize> {
    match column.base.kind() {
        ColumnType::Decimal(Some((_, scale))) => Some(usize::try_from(scale).unwrap_or(0)),
        ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
            usize::try_from(column.base.modifier).ok().filter(|digits| *digits < 6)
        }
        ColumnType::Bool | ColumnType::Int(_) | ColumnType::Date => None,
        _ => None,
    }
}

/// An array by its type.
pub(super) enum Values<'a> {
    Bool(&'a BooleanArray),
    Int(&'a PrimitiveArray<Int64Type>),
    Unsigned(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<Time64MicrosecondType>),
    Duration(&'a PrimitiveArray<DurationMicrosecondType>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Uuid(&'a FixedSizeBinaryArray),
}

/// A column of a batch on its way.
pub(super) struct Going<'a> {
    pub(super) cell: &'a Cell,
    pub(super) to: &'a To,
    pub(super) array: &'a dyn Array,
    pub(super) values: Values<'a>,
}

impl<'a> Going<'a> {
    /// The columns of a batch.
    ///
    /// # Errors
    /// `Internal` for arrays that are not those of the cells.
    pub(super) fn all(
        batch: &'a RecordBatch,
        cells: &'a [Cell],
        to: &'a [To],
    ) -> Result<Vec<Self>> {
        let wrong = || EngineError::new(Kind::Internal, "a batch is not made of its cells");
        if batch.num_columns() != cells.len() {
            return Err(wrong());
        }
        let one = |((cell, to), array): ((&'a Cell, &'a To), &'a arrow_array::ArrayRef)| {
            let values = values(array.as_ref()).ok_or_else(wrong)?;
            if *array.data_type() != cell.kind.arrow() {
                return Err(wrong());
            }
            Ok(Self { cell, to, array: array.as_ref(), values })
        };
        cells.iter().zip(to).zip(batch.columns()).map(one).collect()
    }

    /// The refusal of a value.
    pub(super) fn refusal(&self, why: &str) -> EngineError {
        let message = format!("the column {} takes no {why}", self.cell.name);
        EngineError::new(Kind::RowRefused, message)
    }

    /// Refuses what the server would round.
    pub(super) fn check(&self, row: usize) -> Result<()> {
        let Some(scale) = self.to.scale else { return Ok(()) };
        let us = match &self.values {
            Values::Text(array) => {
                let behind = array.value(row).split_once('.').map_or("", |(_, behind)| behind);
                return match behind.trim_end_matches('0').len() > scale {
                    true => Err(self.refusal("number with so many digits behind the point")),
                    false => Ok(()),
                };
            }
            Values::Time(array) => array.value(row),
            Values::Timestamp(array) => array.value(row),
            _ => return Ok(()),
        };
        let is_finite = us != TIMESTAMP_INFINITE && us != TIMESTAMP_MINUS_INFINITE;
        let step = 10_i64.pow(6_u32.saturating_sub(scale as u32));
        if is_finite && us % step != 0 {
            return Err(self.refusal("time with so many digits of a second"));
        }
        Ok(())
    }
}

fn values(array: &dyn Array) -> Option<Values<'_>> {
    Some(match array.data_type() {
        DataType::Boolean => Values::Bool(array.as_boolean_opt()?),
        DataType::Int64 => Values::Int(array.as_primitive_opt()?),
        DataType::UInt64 => Values::Unsigned(array.as_primitive_opt()?),
        DataType::Float32 => Values::Float32(array.as_primitive_opt()?),
        DataType::Float64 => Values::Float64(array.as_primitive_opt()?),
        DataType::Utf8 => Values::Text(array.as_string_opt::<i32>()?),
        DataType::Binary => Values::Bytes(array.as_binary_opt::<i32>()?),
        DataType::Date32 => Values::Date(array.as_primitive_opt()?),
        DataType::Time64(TimeUnit::Microsecond) => Values::Time(array.as_primitive_opt()?),
        DataType::Duration(TimeUnit::Microsecond) => Values::Duration(array.as_primitive_opt()?),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Values::Timestamp(array.as_primitive_opt()?)
        }
        DataType::FixedSizeBinary(16) => Values::Uuid(array.as_fixed_size_binary_opt()?),
        _ => return None,
    })
}

/// Adds one row of binary `COPY`.
///
/// # Errors
/// `RowRefused` for a value that its column cannot hold.
pub(super) fn row(columns: &[Going<'_>], row: usize, out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&(columns.len() as u16).to_be_bytes());
    for column in columns {
        if column.array.is_null(row) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            continue;
        }
        column.check(row)?;
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        value(column, row, out)?;
        let length = out.len() - start - 4;
        if length > VALUE_BYTES_MAX {
            return Err(column.refusal("value of more than 1 GiB"));
        }
        if let Some(place) = out.get_mut(start..start + 4) {
            place.copy_from_slice(&(length as u32).to_be_bytes());
        }
    }
    Ok(())
}

fn value(column: &Going<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let form = match column.to.form {
        Some(BinaryForm::Known(form)) => form,
        Some(BinaryForm::Bits) => return bits(column, row, out),
        None => return Err(EngineError::new(Kind::Internal, "a column without a binary form")),
    };
    match &column.values {
        Values::Bool(array) => out.push(u8::from(array.value(row))),
        Values::Int(array) => number(column, form, i128::from(array.value(row)), out)?,
        Values::Unsigned(array) => number(column, form, i128::from(array.value(row)), out)?,
        Values::Float32(array) if form == Form::Float8 => {
            out.extend_from_slice(&f64::from(array.value(row)).to_be_bytes());
        }
        Values::Float32(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Values::Float64(array) => out.extend_from_slice(&array.value(row).to_be_bytes()),
        Values::Text(array) => match form {
            Form::Numeric => {
                let refused = || column.refusal("text that is no decimal number");
                numeric::encode(array.value(row), out).ok_or_else(refused)?;
            }
            Form::Jsonb => {
                out.push(1);
                out.extend_from_slice(array.value(row).as_bytes());
            }
            _ => out.extend_from_slice(array.value(row).as_bytes()),
        },
        Values::Bytes(array) => out.extend_from_slice(array.value(row)),
        Values::Uuid(array) => out.extend_from_slice(array.value(row)),
        Values::Date(array) => {
            let days = match array.value(row) {
                DATE_INFINITE => i32::MAX,
                DATE_MINUS_INFINITE => i32::MIN,
                days => days
                    .checked_sub(EPOCH_DAYS)
                    .filter(|days| *days != i32::MIN)
                    .ok_or_else(|| column.refusal("date so early"))?,
            };
            out.extend_from_slice(&days.to_be_bytes());
        }
        Values::Time(array) => {
            let us = array.value(row);
            if !(0..=DAY_US).contains(&us) {
                return Err(column.refusal("time beyond a day"));
            }
            out.extend_from_slice(&us.to_be_bytes());
        }
        Values::Duration(array) => {
            out.extend_from_slice(&array.value(row).to_be_bytes());
            out.extend_from_slice(&[0; 8]);
        }
        Values::Timestamp(array) => {
            let us = match array.value(row) {
                TIMESTAMP_INFINITE => i64::MAX,
                TIMESTAMP_MINUS_INFINITE => i64::MIN,
                us => us
                    .checked_sub(EPOCH_US)
                    .filter(|us| *us != i64::MIN)
                    .ok_or_else(|| column.refusal("time so early"))?,
            };
            out.extend_from_slice(&us.to_be_bytes());
        }
    }
    Ok(())
}

fn number(column: &Going<'_>, form: Form, number: i128, out: &mut Vec<u8>) -> Result<()> {
    let outside = |_| column.refusal("number outside of its range");
    match form {
        Form::Int2 => out.extend_from_slice(&i16::try_from(number).map_err(outside)?.to_be_bytes()),
        Form::Int4 => out.extend_from_slice(&i32::try_from(number).map_err(outside)?.to_be_bytes()),
        Form::Int8 => out.extend_from_slice(&i64::try_from(number).map_err(outside)?.to_be_bytes()),
        _ => {
            numeric::encode(&number.to_string(), out)
                .ok_or_else(|| column.refusal("number outside of its range"))?;
        }
    }
    Ok(())
}

fn bits(column: &Going<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let Values::Text(array) = &column.values else {
        return Err(EngineError::new(Kind::Internal, "bits that are no text"));
    };
    let text = array.value(row);
    if !text.bytes().all(|b| matches!(b, b'0' | b'1')) {
        return Err(column.refusal("text of other characters than 0 and 1"));
    }
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    for eight in text.as_bytes().chunks(8) {
        let byte = eight.iter().enumerate().fold(0, |sum, (at, b)| sum | (b - b'0') << (7 - at));
        out.push(byte);
    }
    Ok(())
}

/// Whether frames of another server's column of this kind are ones of this column.
pub(super) fn takes_frames(kind: &ColumnType, column: &Known) -> bool {
    let own = column.base.kind();
    let form = match kind {
        ColumnType::Bool => Form::Bool,
        ColumnType::Int(16) => Form::Int2,
        ColumnType::Int(32) => Form::Int4,
        ColumnType::Int(64) => Form::Int8,
        ColumnType::Float32 => Form::Float4,
        ColumnType::Float64 => Form::Float8,
        ColumnType::Text(_) | ColumnType::Char(_) | ColumnType::Json | ColumnType::Enum(_) => {
            Form::Text
        }
        ColumnType::JsonParsed => Form::Jsonb,
        ColumnType::Bytes(_) => Form::Bytes,
        ColumnType::Date => Form::Date,
        ColumnType::Uuid => Form::Uuid,
        ColumnType::Decimal(_) => {
            return own == *kind || own == ColumnType::Decimal(None);
        }
        // Fewer digits of a second would be rounded.
        ColumnType::Time | ColumnType::Timestamp | ColumnType::TimestampTz => {
            return own == *kind && scale(column).is_none();
        }
        _ => return own == *kind && column.base.travels(),
    };
    own_form(column) == Some(form)
}
