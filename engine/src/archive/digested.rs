//! A member's content as a source file, its digest checked as it is read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::archive::plain::Plain;
use crate::endpoint::contract::Reader;
use crate::error::{EngineError, Kind, Result};
use crate::model::crc::Crc64;
use crate::model::item::{Attributes, Handle, Identity};

/// A file within an archive.
pub struct Content {
    plain: Arc<dyn Plain>,
    data: u64,
    size: u64,
    attributes: Attributes,
    crc: Option<u64>,
    /// What was read, by offset; neighbours are joined.
    read: Mutex<BTreeMap<u64, Crc64>>,
}

impl Content {
    /// The bytes of a tar from `data` on, whose digest must be `crc` where that is known.
    #[must_use]
    pub fn new(
        plain: Arc<dyn Plain>,
        data: u64,
        size: u64,
        attributes: Attributes,
        crc: Option<u64>,
    ) -> Self {
        Self { plain, data, size, attributes, crc, read: Mutex::default() }
    }

    /// Notes what was read. Parts may come in any order, and again.
    fn note(&self, offset: u64, bytes: &[u8]) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut part = Crc64::of(bytes);
        let (mut begin, end) = (offset, offset + part.bytes);
        let overlaps = |at: u64, other: Crc64| at < end && at + other.bytes > offset;
        if read.range(..end).next_back().is_some_and(|(at, other)| overlaps(*at, *other)) {
            return;
        }
        if let Some((at, left)) = read.range(..offset).next_back().map(|(at, left)| (*at, *left))
            && at + left.bytes == offset
        {
            read.remove(&at);
            (begin, part) = (at, left.join(part));
        }
        if let Some(right) = read.remove(&end) {
            part = part.join(right);
        }
        read.insert(begin, part);
    }

    /// Whether what was read is what was packed; known once all of it was read.
    fn check(&self) -> Result<()> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = read.get(&0).copied().unwrap_or_default();
        match self.crc {
            Some(crc) if whole.bytes == self.size && whole.value != crc => {
                let message = "the member does not have the digest that the index says";
                Err(EngineError::new(Kind::SourceCorrupt, message))
            }
            _ => Ok(()),
        }
    }
}

impl Reader for Content {
    fn identity(&self) -> Identity {
        Identity::default()
    }

    fn facts(&self) -> (u64, Attributes) {
        (self.size, self.attributes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let room = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.plain.read_at(self.data + offset, buffer)?;
        if count == 0 {
            let message = "the archive is cut off within a member";
            return Err(EngineError::new(Kind::SourceCorrupt, message));
        }
        if self.crc.is_some() {
            self.note(offset, buffer.get(..count).unwrap_or_default());
        }
        Ok(count)
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        Ok((offset < self.size).then_some(offset..self.size))
    }

    fn handle(&self) -> Handle {
        Handle::default()
    }

    fn unchanged(&self) -> Result<bool> {
        self.check()?;
        self.plain.unchanged()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Held(Vec<u8>);

    impl Plain for Held {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn unchanged(&self) -> Result<bool> {
            Ok(true)
        }
    }

    #[test]
    fn a_digest_is_checked_in_any_order_of_reading() {
        let bytes: Vec<u8> = (0..100u8).collect();
        let crc = Crc64::of(&bytes[10..90]).value;
        let orders = [vec![0u64, 20, 40, 60], vec![60, 20, 0, 40], vec![40, 60, 60, 0, 20, 40]];
        for (wrong, order) in [0, 1].into_iter().flat_map(|w| orders.iter().map(move |o| (w, o))) {
            let plain: Arc<dyn Plain> = Arc::new(Held(bytes.clone()));
            let attributes = Attributes::default();
            let content = Content::new(plain, 10, 80, attributes, Some(crc ^ wrong));
            let mut buffer = [0; 20];
            for (n, offset) in order.iter().enumerate() {
                assert_eq!(content.read_at(*offset, &mut buffer).unwrap(), 20);
                assert!(n >= 3 || content.unchanged().unwrap());
            }
            assert_eq!(content.unchanged().is_ok(), wrong == 0);
        }
    }
}
