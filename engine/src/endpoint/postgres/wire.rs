//! Messages of the protocol, both ways ("Message Formats" in the manual): a tag, a length, a payload.
//! Lengths are a server's word: memory grows with the bytes that come, never with those that are
//! promised.

use std::time::Duration;

use crate::endpoint::postgres::error::{Done, ended, garbled};
use crate::error::{EngineError, Kind};
use crate::limits::{DATABASE_READ_BYTES, DATABASE_SILENCE_MS};
use crate::remote::socket::Socket;

/// Bytes of a message's tag and length.
pub(super) const HEAD: usize = 5;

/// A connection with what was read ahead of it.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// How long the server may say nothing.
    pub(super) silence: Duration,
}

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        let silence = Duration::from_millis(DATABASE_SILENCE_MS);
        Self { socket, buffer: vec![0; DATABASE_READ_BYTES], start: 0, end: 0, silence }
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Whether an answer waits.
    pub(super) fn is_readable(&self) -> bool {
        self.end > self.start || self.socket.is_readable()
    }

    /// Sends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Done<()> {
        Ok(self.socket.write(bytes)?)
    }

    /// The next message: its tag and its payload of at most `most` bytes.
    pub(super) fn next(&mut self, most: usize) -> Done<(u8, &[u8])> {
        self.hold(HEAD, most)?;
        let head = self.held().get(..HEAD).unwrap_or_default();
        let (tag, length) = parse_head(head).ok_or_else(|| garbled("a message without length"))?;
        if length > most {
            return Err(too_long(tag, length, most));
        }
        self.hold(HEAD + length, most)?;
        let from = self.start + HEAD;
        self.start = from + length;
        let payload = self.buffer.get(from..from + length).unwrap_or_default();
        Ok((tag, payload))
    }

    /// Waits until so many bytes are held.
    pub(super) fn hold(&mut self, count: usize, most: usize) -> Done<()> {
        while self.end - self.start < count {
            self.fill(most)?;
        }
        Ok(())
    }

    /// What is held.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes so many of the bytes that are held.
    pub(super) fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Reads more, for at least one byte. One message of `most` bytes finds room.
    pub(super) fn fill(&mut self, most: usize) -> Done<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > DATABASE_READ_BYTES {
                self.buffer = vec![0; DATABASE_READ_BYTES];
            }
        }
        if self.end == self.buffer.len() && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            let room = (self.buffer.len() * 2).min(most.saturating_add(DATABASE_READ_BYTES));
            self.buffer.resize(room.max(self.end + HEAD), 0);
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.socket.read(room, self.silence)? {
            0 => Err(ended()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }
}

/// The tag of a message and the length of its payload; `None` for a length that none has.
pub(super) fn parse_head(head: &[u8]) -> Option<(u8, usize)> {
    let (tag, length) = head.split_first()?;
    let length = u32::from_be_bytes(length.first_chunk::<4>().copied()?);
    Some((*tag, usize::try_from(length).ok()?.checked_sub(4)?))
}

/// What a message is that is longer than may be: a row, or nonsense.
pub(super) fn too_long(
    tag: u8,
    length: usize,
    most: usize,
) -> crate::endpoint::postgres::error::Fault {
    if matches!(tag, b'd' | b'D') && length < 1 << 31 {
        let message = format!("a row of {length} bytes; {most} are allowed");
        return EngineError::new(Kind::RowTooLarge, message).into();
    }
    garbled("a message that is too long")
}

/// A message to the server.
pub(super) fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.push(tag);
    bytes.extend_from_slice(&(length as u32 + 4).to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_and_lengths_that_lie_are_none() {
        assert_eq!(parse_head(b"Z\0\0\0\x05"), Some((b'Z', 1)));
        assert_eq!(parse_head(b"Z\0\0\0\x03"), None);
        assert_eq!(parse_head(b"Z\0\0"), None);
        assert_eq!(parse_head(&message(b'Q', &[b"ab", b"c"])), Some((b'Q', 3)));
        assert_eq!(parse_head(b"d\xff\xff\xff\xff").map(|(_, n)| n), Some(u32::MAX as usize - 4));
    }
}
