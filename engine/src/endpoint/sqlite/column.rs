//! One column of a batch: made once for a span, then fed value by value.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, DurationMicrosecondBuilder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int64Builder, StringBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt64Builder,
};
use rusqlite::types::ValueRef;

use crate::endpoint::sqlite::decode;
use crate::model::kind::ColumnType;

/// The value is of another class, or outside of what the kind holds.
#[derive(Clone, Copy, Debug)]
pub struct Misfits;

/// A column on its way.
pub struct Column {
    kind: ColumnType,
    build: Build,
    scratch: String,
}

enum Build {
    Bool(BooleanBuilder),
    Int(Int64Builder, (i64, i64)),
    Unsigned(UInt64Builder, u64),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal(StringBuilder, Option<(u32, i32)>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Duration(DurationMicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Any(BinaryBuilder, Vec<u8>),
}

macro_rules! each {
    ($build:expr, $builder:ident => $do:expr) => {
        match $build {
            Build::Bool($builder) => $do,
            Build::Int($builder, _) => $do,
            Build::Unsigned($builder, _) => $do,
            Build::Float32($builder) => $do,
            Build::Float64($builder) => $do,
            Build::Decimal($builder, _) | Build::Text($builder) => $do,
            Build::Bytes($builder) | Build::Any($builder, _) => $do,
            Build::Date($builder) => $do,
            Build::Time($builder) => $do,
            Build::Duration($builder) => $do,
            Build::Timestamp($builder) => $do,
            Build::Uuid($builder) => $do,
        }
    };
}

impl Column {
    /// A column of this kind.
    #[must_use]
    pub fn new(kind: &ColumnType) -> Self {
        let build = match kind {
            ColumnType::Bool => Build::Bool(BooleanBuilder::new()),
            ColumnType::Int(bits) => Build::Int(Int64Builder::new(), decode::signed(*bits)),
            ColumnType::Year => Build::Int(Int64Builder::new(), (0, 9999)),
            ColumnType::Unsigned(bits) => {
                Build::Unsigned(UInt64Builder::new(), decode::unsigned(*bits))
            }
            ColumnType::Float32 => Build::Float32(Float32Builder::new()),
            ColumnType::Float64 => Build::Float64(Float64Builder::new()),
            ColumnType::Decimal(size) => Build::Decimal(StringBuilder::new(), *size),
            ColumnType::Bytes(_) | ColumnType::FixedBytes(_) => Build::Bytes(BinaryBuilder::new()),
            ColumnType::Date => Build::Date(Date32Builder::new()),
            ColumnType::Time => Build::Time(Time64MicrosecondBuilder::new()),
            ColumnType::Duration => Build::Duration(DurationMicrosecondBuilder::new()),
            ColumnType::Timestamp | ColumnType::TimestampTz => {
                let builder = TimestampMicrosecondBuilder::new().with_data_type(kind.arrow());
                Build::Timestamp(builder)
            }
            ColumnType::Uuid => Build::Uuid(FixedSizeBinaryBuilder::new(16)),
            ColumnType::Any => Build::Any(BinaryBuilder::new(), Vec::new()),
            _ => Build::Text(StringBuilder::new()),
        };
        Self { kind: kind.clone(), build, scratch: String::new() }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// [`Misfits`] where it cannot be carried; nothing is added then.
    pub fn push(&mut self, value: ValueRef<'_>) -> Result<(), Misfits> {
        if matches!(value, ValueRef::Null) {
            self.push_null();
            return Ok(());
        }
        self.add(value).ok_or(Misfits)
    }

    fn add(&mut self, value: ValueRef<'_>) -> Option<()> {
        let (kind, scratch) = (&self.kind, &mut self.scratch);
        match &mut self.build {
            Build::Bool(build) => build.append_value(decode::boolean(value)?),
            Build::Int(build, (least, most)) => match value {
                ValueRef::Integer(value) if (*least..=*most).contains(&value) => {
                    build.append_value(value);
                }
                _ => return None,
            },
            Build::Unsigned(build, most) => match value {
                ValueRef::Integer(value) => {
                    let value = u64::try_from(value).ok().filter(|value| value <= most)?;
                    build.append_value(value);
                }
                _ => return None,
            },
            Build::Float32(build) => build.append_value(decode::float32(value)?),
            Build::Float64(build) => build.append_value(decode::float(value)?),
            Build::Decimal(build, size) => {
                build.append_value(decode::decimal(value, *size, scratch)?);
            }
            Build::Text(build) => build.append_value(decode::checked(kind, value, scratch)?),
            Build::Bytes(build) => {
                let held = decode::holds(kind, value, scratch);
                build.append_value(decode::bytes(value).filter(|_| held)?);
            }
            Build::Date(build) => {
                build.append_value(i32::try_from(decode::time(kind, value)?).ok()?);
            }
            Build::Time(build) => build.append_value(decode::time(kind, value)?),
            Build::Duration(build) => build.append_value(decode::time(kind, value)?),
            Build::Timestamp(build) => build.append_value(decode::time(kind, value)?),
            Build::Uuid(build) => build.append_value(decode::uuid(value)?).ok()?,
            Build::Any(build, tagged) => {
                tag(value, tagged)?;
                build.append_value(&*tagged);
            }
        }
        Some(())
    }

    /// Adds the nearest value that can be held.
    ///
    /// # Errors
    /// [`Misfits`] where nothing is near.
    pub fn push_nearest(&mut self, value: ValueRef<'_>) -> Result<(), Misfits> {
        match (&mut self.build, value) {
            (Build::Int(build, (least, most)), ValueRef::Integer(value)) => {
                build.append_value(value.clamp(*least, *most));
            }
            (Build::Unsigned(build, most), ValueRef::Integer(value)) => {
                build.append_value(u64::try_from(value).unwrap_or(0).min(*most));
            }
            (Build::Float32(build), value) => {
                let wide = decode::float(value).ok_or(Misfits)?;
                build.append_value(wide as f32);
            }
            (Build::Text(build), value) => {
                let (ColumnType::Text(Some(most)) | ColumnType::Char(most)) = self.kind else {
                    return Err(Misfits);
                };
                let text = decode::text(value, &mut self.scratch).ok_or(Misfits)?;
                let end = text.char_indices().nth(usize::try_from(most).map_err(|_| Misfits)?);
                let end = end.map_or(text.len(), |(end, _)| end);
                let mut near = text.get(..end).unwrap_or_default().to_owned();
                if let ColumnType::Char(length) = self.kind {
                    let missing = length.saturating_sub(near.chars().count() as u64);
                    near.extend(std::iter::repeat_n(' ', usize::try_from(missing).unwrap_or(0)));
                }
                build.append_value(near);
            }
            (Build::Bytes(build), ValueRef::Blob(bytes)) => {
                let ColumnType::Bytes(Some(most)) = self.kind else { return Err(Misfits) };
                let end = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
                build.append_value(bytes.get(..end).unwrap_or_default());
            }
            _ => return Err(Misfits),
        }
        Ok(())
    }

    /// Adds NULL.
    pub fn push_null(&mut self) {
        each!(&mut self.build, build => build.append_null());
    }

    /// Takes the values away as an array; the column is empty then.
    pub fn take(&mut self) -> ArrayRef {
        let finish = |build: &mut dyn ArrayBuilder| build.finish();
        Arc::clone(&each!(&mut self.build, build => finish(build)))
    }
}

/// A value of any class with its class in front.
fn tag(value: ValueRef<'_>, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    match value {
        ValueRef::Null => return None,
        ValueRef::Integer(value) => {
            out.push(b'i');
            out.extend_from_slice(value.to_string().as_bytes());
        }
        ValueRef::Real(value) => {
            out.push(b'r');
            out.extend_from_slice(&value.to_be_bytes());
        }
        ValueRef::Text(text) => {
            out.push(b't');
            out.extend_from_slice(std::str::from_utf8(text).ok()?.as_bytes());
        }
        ValueRef::Blob(bytes) => {
            out.push(b'b');
            out.extend_from_slice(bytes);
        }
    }
    Some(())
}
