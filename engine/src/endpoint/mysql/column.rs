//! Columns of a batch while they grow. Each knows how to take its values from the server's text.

use std::sync::Arc;

use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer};
use arrow_schema::DataType;

use crate::error::{EngineError, Kind, Result};
use crate::model::rows::Misfit;

use super::calendar::Unfit;

/// A column that grows, value by value.
pub(super) trait Grow: Send {
    /// Takes a value. `Ok(true)` where it had to be changed.
    ///
    /// # Errors
    /// Why it does not fit, where the cell's misfit does not say what to do.
    fn take(&mut self, value: &[u8]) -> Result<bool, &'static str>;

    /// Takes NULL.
    fn null(&mut self);

    /// Drops the last value.
    fn pop(&mut self);

    /// Everything taken, as an array.
    ///
    /// # Errors
    /// `Internal`, `RowTooLarge` for text beyond what an array holds.
    fn finish(&mut self) -> Result<ArrayRef>;
}

/// Numbers and what travels as numbers.
pub(super) struct Numbers<T: ArrowPrimitiveType, P> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
    arrow: DataType,
    misfit: Misfit,
    parse: P,
}

impl<T: ArrowPrimitiveType, P> Numbers<T, P>
where
    P: Fn(&[u8]) -> Result<T::Native, Unfit<T::Native>> + Send + 'static,
{
    pub(super) fn boxed(arrow: DataType, misfit: Misfit, parse: P) -> Box<dyn Grow> {
        let nulls = NullBufferBuilder::new(0);
        Box::new(Self { values: Vec::new(), nulls, arrow, misfit, parse })
    }
}

/// The value, and whether it is another one than was read; none where it becomes NULL.
#[inline]
fn fitted<T>(
    parsed: Result<T, Unfit<T>>,
    misfit: Misfit,
) -> Result<Option<(T, bool)>, &'static str> {
    match parsed {
        Ok(value) => Ok(Some((value, false))),
        Err(unfit) => match (misfit, unfit.nearest) {
            (Misfit::Clamp, Some(nearest)) => Ok(Some((nearest, true))),
            (Misfit::Null, _) => Ok(None),
            _ => Err(unfit.why),
        },
    }
}

impl<T: ArrowPrimitiveType, P> Grow for Numbers<T, P>
where
    P: Fn(&[u8]) -> Result<T::Native, Unfit<T::Native>> + Send + 'static,
{
    #[inline]
    fn take(&mut self, value: &[u8]) -> Result<bool, &'static str> {
        let Some((value, changed)) = fitted((self.parse)(value), self.misfit)? else {
            self.null();
            return Ok(true);
        };
        self.values.push(value);
        self.nulls.append_non_null();
        Ok(changed)
    }

    #[inline]
    fn null(&mut self) {
        self.values.push(T::default_value());
        self.nulls.append_null();
    }

    fn pop(&mut self) {
        self.values.pop();
        self.nulls.truncate(self.values.len());
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let next = Vec::with_capacity(self.values.len());
        let values = std::mem::replace(&mut self.values, next);
        let array = PrimitiveArray::<T>::new(values.into(), self.nulls.finish());
        Ok(Arc::new(array.with_data_type(self.arrow.clone())))
    }
}

/// True and false.
pub(super) struct Bools<P> {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
    misfit: Misfit,
    parse: P,
}

impl<P> Bools<P>
where
    P: Fn(&[u8]) -> Result<bool, Unfit<bool>> + Send + 'static,
{
    pub(super) fn boxed(misfit: Misfit, parse: P) -> Box<dyn Grow> {
        let (values, nulls) = (BooleanBufferBuilder::new(0), NullBufferBuilder::new(0));
        Box::new(Self { values, nulls, misfit, parse })
    }
}

impl<P> Grow for Bools<P>
where
    P: Fn(&[u8]) -> Result<bool, Unfit<bool>> + Send + 'static,
{
    fn take(&mut self, value: &[u8]) -> Result<bool, &'static str> {
        let Some((value, changed)) = fitted((self.parse)(value), self.misfit)? else {
            self.null();
            return Ok(true);
        };
        self.values.append(value);
        self.nulls.append_non_null();
        Ok(changed)
    }

    fn null(&mut self) {
        self.values.append(false);
        self.nulls.append_null();
    }

    fn pop(&mut self) {
        let length = self.values.len().saturating_sub(1);
        self.values.truncate(length);
        self.nulls.truncate(length);
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(BooleanArray::new(self.values.finish(), self.nulls.finish())))
    }
}

/// Which array bytes become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    Text,
    Bytes,
    Sixteen,
}

/// Text and bytes. `parse` appends a value in the form in which it travels.
pub(super) struct Texts<P> {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    to: As,
    misfit: Misfit,
    parse: P,
}

impl<P> Texts<P>
where
    P: Fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str> + Send + 'static,
{
    pub(super) fn boxed(to: As, misfit: Misfit, parse: P) -> Box<dyn Grow> {
        let nulls = NullBufferBuilder::new(0);
        Box::new(Self { bytes: Vec::new(), offsets: vec![0], nulls, to, misfit, parse })
    }

    #[inline]
    fn end(&mut self) {
        // Beyond i32 the length cannot be: `finish` refuses it by this.
        self.offsets.push(i32::try_from(self.bytes.len()).unwrap_or(-1));
    }
}

impl<P> Grow for Texts<P>
where
    P: Fn(&[u8], &mut Vec<u8>) -> Result<(), &'static str> + Send + 'static,
{
    #[inline]
    fn take(&mut self, value: &[u8]) -> Result<bool, &'static str> {
        let at = self.bytes.len();
        if let Err(why) = (self.parse)(value, &mut self.bytes) {
            self.bytes.truncate(at);
            if self.misfit != Misfit::Null {
                return Err(why);
            }
            self.null();
            return Ok(true);
        }
        self.end();
        self.nulls.append_non_null();
        Ok(false)
    }

    #[inline]
    fn null(&mut self) {
        if self.to == As::Sixteen {
            self.bytes.extend_from_slice(&[0; 16]);
        }
        self.end();
        self.nulls.append_null();
    }

    fn pop(&mut self) {
        self.offsets.pop();
        let end = self.offsets.last().copied().unwrap_or(0);
        self.bytes.truncate(usize::try_from(end).unwrap_or(0));
        self.nulls.truncate(self.offsets.len().saturating_sub(1));
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let bytes = Vec::with_capacity(self.bytes.len());
        let bytes = Buffer::from_vec(std::mem::replace(&mut self.bytes, bytes));
        let mut next = Vec::with_capacity(self.offsets.len());
        next.push(0);
        let offsets = std::mem::replace(&mut self.offsets, next);
        let nulls = self.nulls.finish();
        if offsets.contains(&-1) {
            let message = "a batch holds more than 2 GiB of one column";
            return Err(EngineError::new(Kind::RowTooLarge, message));
        }
        let odd = |error| EngineError::new(Kind::Internal, format!("a batch: {error}"));
        let offsets = || OffsetBuffer::new(offsets.into());
        Ok(match self.to {
            As::Text => Arc::new(StringArray::try_new(offsets(), bytes, nulls).map_err(odd)?),
            As::Bytes => Arc::new(BinaryArray::try_new(offsets(), bytes, nulls).map_err(odd)?),
            As::Sixteen => Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls).map_err(odd)?),
        })
    }
}
