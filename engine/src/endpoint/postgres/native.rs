//! Frames of binary `COPY`: `CopyData` messages, each one row. They are walked by their heads alone.

use crate::endpoint::postgres::error::{Done, garbled};
use crate::endpoint::postgres::wire::{HEAD, too_long};

/// What stands in front of the first row.
pub(super) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The whole header: signature, flags, length of an extension.
pub(super) const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last row, in place of a number of values.
pub(super) const TRAILER: [u8; 2] = [0xff, 0xff];
/// Bytes of the shortest frame of a row: head and number of values.
const FRAME_LEAST: usize = HEAD + 2;

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It took as much as it may.
    Full,
    /// A frame of so many bytes is not all there yet.
    Needs(usize),
    /// The trailer comes.
    Trailer,
    /// A message that is no row comes.
    Other,
}

/// Frames that were walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) next: Next,
}

/// Bounds of a walk: rows and bytes of all, bytes of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) row_bytes: usize,
}

/// Walks whole frames of rows with so many values.
pub(super) fn walk(held: &[u8], values: u16, bounds: Bounds) -> Done<Walked> {
    let (mut rows, mut at) = (0, 0);
    let next = loop {
        if rows >= bounds.rows || (rows > 0 && at >= bounds.bytes) {
            break Next::Full;
        }
        let rest = held.get(at..).unwrap_or_default();
        let Some(&[tag, l0, l1, l2, l3, n0, n1]) = rest.first_chunk::<FRAME_LEAST>() else {
            match rest.first() {
                Some(b'd') | None => break Next::Needs(FRAME_LEAST),
                Some(_) => break Next::Other,
            }
        };
        if tag != b'd' {
            break Next::Other;
        }
        let total = u32::from_be_bytes([l0, l1, l2, l3]) as usize + 1;
        if total < FRAME_LEAST {
            return Err(garbled("a row without a number of values"));
        }
        let count = u16::from_be_bytes([n0, n1]);
        if count != values {
            if count == u16::MAX && total == FRAME_LEAST {
                break Next::Trailer;
            }
            return Err(garbled("a row with another number of values"));
        }
        if total - HEAD > bounds.row_bytes {
            return Err(too_long(tag, total - HEAD, bounds.row_bytes));
        }
        if rest.len() < total {
            break Next::Needs(total);
        }
        rows += 1;
        at += total;
    };
    Ok(Walked { rows, bytes: at, next })
}

/// What follows the header in the first frame's payload.
pub(super) fn after_header(payload: &[u8]) -> Done<&[u8]> {
    let rest = payload.strip_prefix(SIGNATURE).ok_or_else(|| garbled("no binary COPY"))?;
    let cut = || garbled("a cut header of a binary COPY");
    let (flags, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    if u32::from_be_bytes(*flags) >> 16 != 0 {
        return Err(garbled("a binary COPY of a version that is not known"));
    }
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| cut())?;
    rest.get(length..).ok_or_else(cut)
}

/// The values of a row.
pub(super) struct Values<'a> {
    rest: &'a [u8],
    left: u16,
}

impl<'a> Values<'a> {
    /// Those of a frame's payload, which must be so many.
    pub(super) fn of(payload: &'a [u8], count: u16) -> Done<Self> {
        match payload.split_first_chunk::<2>() {
            Some((found, rest)) if u16::from_be_bytes(*found) == count => {
                Ok(Self { rest, left: count })
            }
            _ => Err(garbled("a row with another number of values")),
        }
    }

    /// The next value; the outer `None` at the end.
    pub(super) fn next(&mut self) -> Done<Option<Option<&'a [u8]>>> {
        let cut = || garbled("a row that is cut");
        if self.left == 0 {
            return if self.rest.is_empty() { Ok(None) } else { Err(cut()) };
        }
        self.left -= 1;
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.rest = rest;
            return Ok(Some(None));
        }
        let length = usize::try_from(length).map_err(|_| cut())?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(Some(Some(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::postgres::wire::message;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { rows: 100, bytes: 1000, row_bytes: 50 };

    fn row(value: &[u8]) -> Vec<u8> {
        message(b'd', &[&[0, 1], &(value.len() as u32).to_be_bytes(), value])
    }

    #[test]
    fn whole_frames_are_walked_and_the_rest_is_named() {
        let frames = [row(b"a"), row(b"bcd"), message(b'd', &[&TRAILER]), message(b'c', &[])];
        let all = frames.concat();
        let rows = frames[0].len() + frames[1].len();
        let walked = walk(&all, 1, BOUNDS).unwrap();
        assert_eq!(walked, Walked { rows: 2, bytes: rows, next: Next::Trailer });
        let walked = walk(&all[..rows - 1], 1, BOUNDS).unwrap();
        assert_eq!((walked.rows, walked.next), (1, Next::Needs(frames[1].len())));
        assert_eq!(walk(&all, 1, Bounds { rows: 1, ..BOUNDS }).unwrap().next, Next::Full);
        assert_eq!(walk(&all[all.len() - 5..], 1, BOUNDS).unwrap().next, Next::Other);
        assert!(walk(&all, 2, BOUNDS).is_err());
        let error = walk(&row(&[0; 60]), 1, BOUNDS).unwrap_err();
        let error = error.error(crate::remote::call::Side::Source, "failed");
        assert_eq!(error.kind(), crate::error::Kind::RowTooLarge);
    }

    #[test]
    fn headers_are_checked() {
        assert_eq!(after_header(&HEADER).unwrap(), b"");
        assert_eq!(after_header(&[&HEADER[..], b"xy"].concat()).unwrap(), b"xy");
        let mut oids = HEADER;
        oids[12] = 1;
        assert!(after_header(&oids).is_err());
        let mut long = HEADER;
        long[15] = 0xff;
        assert!(after_header(&long).is_err());
        assert!(after_header(b"PGCOPY").is_err());
    }

    proptest! {
        #[test]
        fn hostile_bytes_end_the_walk(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(walked) = walk(&bytes, 1, BOUNDS) {
                prop_assert!(walked.bytes <= bytes.len());
            }
            drop(after_header(&bytes));
            if let Ok(mut values) = Values::of(&bytes, 3) {
                while let Ok(Some(_)) = values.next() {}
            }
        }
    }
}
