//! Parts cut off a packet, never beyond its end.

/// What is left of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<'a>(pub &'a [u8]);

impl<'a> Cut<'a> {
    /// So many bytes.
    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    /// One byte.
    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        self.0 = tail;
        Some(*first)
    }

    /// An integer of so many bytes, least byte first.
    #[inline]
    pub(super) fn uint(&mut self, bytes: usize) -> Option<u64> {
        let head = self.bytes(bytes)?;
        Some(head.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Bytes up to a NUL, which goes too; all that is left where there is none.
    pub(super) fn until_nul(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let head = self.0.get(..end).unwrap_or_default();
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        head
    }

    /// An integer of variable length.
    #[inline]
    pub(super) fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            first @ 0..=0xfa => Some(u64::from(first)),
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.uint(8),
            _ => None,
        }
    }

    /// Bytes with their length in front.
    #[inline]
    pub(super) fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.lenenc()?).ok()?;
        self.bytes(length)
    }

    /// A value of a row of text: `Some(None)` for NULL.
    #[inline]
    pub(super) fn cell(&mut self) -> Option<Option<&'a [u8]>> {
        match self.0.split_first() {
            Some((0xfb, tail)) => {
                self.0 = tail;
                Some(None)
            }
            Some((length, tail)) if *length < 0xfb => {
                let (head, tail) = tail.split_at_checked(usize::from(*length))?;
                self.0 = tail;
                Some(Some(head))
            }
            _ => self.sized().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_beyond_the_end() {
        for bytes in [&[][..], &[0xfc, 1], &[0xfd, 0, 0], &[5, b'a'], &[0xff], &[0xfe; 9]] {
            assert!(Cut(bytes).sized().is_none(), "{bytes:?}");
            assert!(Cut(bytes).cell().is_none(), "{bytes:?}");
        }
        let mut cut = Cut(&[0xfb, 0, 1, b'x', 0xfc, 1, 0, b'y']);
        assert_eq!(cut.cell(), Some(None));
        assert_eq!(cut.cell(), Some(Some(&b""[..])));
        assert_eq!(cut.cell(), Some(Some(&b"x"[..])));
        assert_eq!(cut.cell(), Some(Some(&b"y"[..])));
        assert_eq!(cut.cell(), None);
    }
}
