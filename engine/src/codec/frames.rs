//! zstd's skippable frames, and the seek table of its seekable format in one.

use super::contract::Frame;
use super::gather::little;

/// Magic number of skippable frames; its last four bits are free.
pub const SKIPPABLE_MAGIC: u64 = 0x184d_2a50;
/// The kind that the seekable format keeps for its table.
const TABLE_KIND: u32 = 0xe;
const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
/// Number of frames, a descriptor, a magic number.
pub const SEEK_TABLE_FOOTER_BYTES: usize = 9;
const ENTRY_BYTES: usize = 8;
/// Header of a skippable frame: a magic number, and the length of what follows.
pub const SKIPPABLE_HEAD_BYTES: usize = 8;
const HEAD_BYTES: usize = SKIPPABLE_HEAD_BYTES;

/// A skippable frame of this kind (0 to 15) around `content`.
#[must_use]
pub fn skippable(kind: u32, content: &[u8]) -> Vec<u8> {
    let magic = SKIPPABLE_MAGIC as u32 | (kind & 15);
    let len = content.len() as u32;
    [&magic.to_le_bytes(), &len.to_le_bytes(), content].concat()
}

/// Whether a frame of so many stored bytes that begins so is a skippable one: no decoder gives
/// anything for it.
#[must_use]
pub fn is_skippable(head: &[u8; SKIPPABLE_HEAD_BYTES], stored: u32) -> bool {
    little(head, 0, 4).is_some_and(|magic| magic & !15 == SKIPPABLE_MAGIC)
        && little(head, 4, 4).is_some_and(|len| len + HEAD_BYTES as u64 == u64::from(stored))
}

/// The seek table of these frames, in file order; skippable ones count with no plain bytes.
#[must_use]
pub fn seek_table(frames: &[Frame]) -> Vec<u8> {
    let mut content = Vec::with_capacity(frames.len() * ENTRY_BYTES + SEEK_TABLE_FOOTER_BYTES);
    for frame in frames {
        content.extend_from_slice(&frame.stored.to_le_bytes());
        content.extend_from_slice(&frame.plain.to_le_bytes());
    }
    content.extend_from_slice(&(frames.len() as u32).to_le_bytes());
    content.push(0);
    content.extend_from_slice(&SEEKABLE_MAGIC.to_le_bytes());
    skippable(TABLE_KIND, &content)
}

/// What the footer of a seek table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeekTable {
    frames: usize,
    entry_bytes: usize,
}

impl SeekTable {
    /// Reads the last [`SEEK_TABLE_FOOTER_BYTES`] of a file; `None` when they are none of a table.
    #[must_use]
    pub fn of_footer(footer: &[u8]) -> Option<Self> {
        let frames = little(footer, 0, 4)? as usize;
        let descriptor = *footer.get(4)?;
        let is_table = little(footer, 5, 4)? == u64::from(SEEKABLE_MAGIC) && descriptor & 0x7c == 0;
        let entry_bytes = if descriptor & 0x80 == 0 { ENTRY_BYTES } else { ENTRY_BYTES + 4 };
        is_table.then_some(Self { frames, entry_bytes })
    }

    /// Frames that it lists.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames as u64
    }

    /// Bytes of the whole skippable frame that holds the table.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (HEAD_BYTES + SEEK_TABLE_FOOTER_BYTES) as u64 + self.frames as u64 * self.entry_bytes as u64
    }

    /// The entries, given the whole skippable frame; `None` when it is none.
    #[must_use]
    pub fn entries(&self, frame: &[u8]) -> Option<Vec<Frame>> {
        let magic = SKIPPABLE_MAGIC | u64::from(TABLE_KIND);
        let fits = little(frame, 0, 4)? == magic
            && little(frame, 4, 4)? + HEAD_BYTES as u64 == frame.len() as u64
            && self.bytes() == frame.len() as u64;
        let entry = |at: usize| {
            let at = HEAD_BYTES + at * self.entry_bytes;
            let (stored, plain) = (little(frame, at, 4)? as u32, little(frame, at + 4, 4)? as u32);
            Some(Frame { stored, plain })
        };
        fits.then(|| (0..self.frames).map(entry).collect()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let frames = [Frame { stored: 7, plain: 9 }, Frame { stored: 12, plain: 0 }];
        let bytes = seek_table(&frames);
        let footer = &bytes[bytes.len() - SEEK_TABLE_FOOTER_BYTES..];
        let table = SeekTable::of_footer(footer).unwrap();
        assert_eq!(table.bytes(), bytes.len() as u64);
        assert_eq!(table.entries(&bytes).unwrap(), frames);
        assert_eq!(table.entries(&bytes[1..]), None);
        assert_eq!(SeekTable::of_footer(&[0; 9]), None);
        assert_eq!(SeekTable::of_footer(&footer[1..]), None);
    }
}
