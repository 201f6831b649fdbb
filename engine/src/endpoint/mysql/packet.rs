//! Packets: bytes with a length of three bytes and a number in front.
//!
//! A packet is read where it lies in the buffer. One longer than that is gathered, as is one that the
//! server sends in several: memory grows with what has come, never with what a length promises.

use std::time::Duration;

use crate::error::{EngineError, Kind};
use crate::limits::MYSQL_ANSWER_MS;
use crate::remote::call::Failure;
use crate::remote::socket::Socket;

use super::error::{Asked, Fault};

/// Bytes of content of a packet that is followed by another of the same content.
pub(super) const FULL: usize = 0xff_ffff;
/// Bytes in front of each packet.
pub(super) const HEAD: usize = 4;
/// Bytes read at once, at most.
const BUFFER: usize = 256 << 10;
/// Memory of gathered packets that is kept for the next one, bytes.
const KEPT: usize = 1 << 20;

/// Bytes both ways.
pub(super) trait Pipe: Send {
    fn read(&mut self, buffer: &mut [u8], limit: Duration) -> Result<usize, Failure>;
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure>;
    fn secure(&mut self) -> Result<(), Failure>;
    fn is_secure(&self) -> bool;
}

impl Pipe for Socket {
    fn read(&mut self, buffer: &mut [u8], limit: Duration) -> Result<usize, Failure> {
        Self::read(self, buffer, limit)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Self::write(self, bytes)
    }

    fn secure(&mut self) -> Result<(), Failure> {
        Self::secure(self)
    }

    fn is_secure(&self) -> bool {
        Self::is_secure(self)
    }
}

/// A connection that sends and receives packets.
pub(super) struct Wire {
    pipe: Box<dyn Pipe>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    gathered: Vec<u8>,
    /// The number that the next packet bears, either way.
    sequence: u8,
    /// How long the next byte may take.
    pub limit: Duration,
}

impl Wire {
    pub(super) fn new(pipe: Box<dyn Pipe>, limit: Duration) -> Self {
        let (input, gathered) = (vec![0; BUFFER], Vec::new());
        Self { pipe, input, start: 0, end: 0, gathered, sequence: 0, limit }
    }

    /// Statements may take long from now on: an index may be built.
    pub(super) fn patient(&mut self) {
        self.limit = Duration::from_millis(MYSQL_ANSWER_MS);
    }

    pub(super) fn is_secure(&self) -> bool {
        self.pipe.is_secure()
    }

    /// Begins TLS. Bytes that came before it would be trusted as if they had come by it.
    pub(super) fn secure(&mut self) -> Asked<()> {
        if self.start != self.end {
            return Err(Fault::garbled("the server sent bytes in front of TLS"));
        }
        self.pipe.secure().map_err(|failure| Fault::lost(&failure, "failed to begin TLS"))
    }

    /// Begins another exchange.
    pub(super) fn anew(&mut self) {
        self.sequence = 0;
        if self.gathered.capacity() > KEPT {
            self.gathered = Vec::new();
        }
    }

    /// The next packet's content, at most `bound` bytes.
    ///
    /// # Errors
    /// `RowTooLarge` beyond that; `RemoteAnswer` for a packet out of its turn.
    #[inline]
    pub(super) fn packet(&mut self, bound: usize) -> Asked<&[u8]> {
        let length = self.head()?;
        if length > bound {
            return Err(too_large(bound));
        }
        if length + HEAD > BUFFER {
            return self.gather(length, bound);
        }
        while self.end - self.start < length {
            self.fill(length)?;
        }
        let at = self.start;
        self.start += length;
        Ok(self.input.get(at..at + length).unwrap_or_default())
    }

    /// The length of the next packet.
    #[inline]
    fn head(&mut self) -> Asked<usize> {
        while self.end - self.start < HEAD {
            self.fill(HEAD)?;
        }
        let head = self.input.get(self.start..self.start + HEAD).unwrap_or_default();
        let &[a, b, c, number] = head else { return Err(Fault::garbled("a packet is cut")) };
        if number != self.sequence {
            return Err(Fault::garbled("the server's packets are out of order"));
        }
        self.sequence = number.wrapping_add(1);
        self.start += HEAD;
        Ok(usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16)
    }

    /// Reads more, for a piece of `length` bytes that begins at `start` and fits the buffer.
    fn fill(&mut self, length: usize) -> Asked<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start + length > self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let space = self.input.get_mut(self.end..).unwrap_or_default();
        let read = self.pipe.read(space, self.limit);
        match read.map_err(|failure| Fault::lost(&failure, "failed to read from the server"))? {
            0 => Err(gone()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    fn gather(&mut self, first: usize, bound: usize) -> Asked<&[u8]> {
        self.gathered.clear();
        let mut length = first;
        loop {
            if self.gathered.len() + length > bound {
                return Err(too_large(bound));
            }
            let mut left = length;
            while left > 0 {
                if self.start == self.end {
                    self.fill(1)?;
                }
                let count = left.min(self.end - self.start);
                let part = self.input.get(self.start..self.start + count).unwrap_or_default();
                self.gathered.extend_from_slice(part);
                self.start += count;
                left -= count;
            }
            if length < FULL {
                return Ok(&self.gathered);
            }
            length = self.head()?;
        }
    }

    /// Sends what follows the first [`HEAD`] bytes of `frame`, which are for the head.
    pub(super) fn send(&mut self, frame: &mut [u8]) -> Asked<()> {
        let doing = |failure: Failure| Fault::lost(&failure, "failed to write to the server");
        let content = frame.len().saturating_sub(HEAD);
        if content < FULL {
            self.head_of(frame, content);
            return self.pipe.write(frame).map_err(doing);
        }
        let mut rest = frame.get(HEAD..).unwrap_or_default();
        loop {
            let (part, tail) = rest.split_at_checked(FULL).unwrap_or((rest, &[]));
            let mut head = [0; HEAD];
            self.head_of(&mut head, part.len());
            self.pipe.write(&head).map_err(doing)?;
            self.pipe.write(part).map_err(doing)?;
            if part.len() < FULL {
                return Ok(());
            }
            rest = tail;
        }
    }

    fn head_of(&mut self, frame: &mut [u8], content: usize) {
        let [a, b, c, ..] = (content as u32).to_le_bytes();
        if let Some(head) = frame.first_chunk_mut::<HEAD>() {
            *head = [a, b, c, self.sequence];
        }
        self.sequence = self.sequence.wrapping_add(1);
    }
}

fn too_large(bound: usize) -> Fault {
    let message = format!("a row takes more than {bound} bytes");
    EngineError::new(Kind::RowTooLarge, message).into()
}

fn gone() -> Fault {
    EngineError::new(Kind::RemoteUnavailable, "the server closed the connection").into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A peer that has said everything already.
    #[derive(Clone, Default)]
    pub(in super::super) struct Canned {
        pub said: Arc<Mutex<(Vec<u8>, usize)>>,
        pub heard: Arc<Mutex<Vec<u8>>>,
        /// Bytes given out at once.
        pub step: usize,
    }

    impl Pipe for Canned {
        fn read(&mut self, buffer: &mut [u8], _: Duration) -> Result<usize, Failure> {
            let mut said = self.said.lock().unwrap();
            let (bytes, at) = &mut *said;
            let count = buffer.len().min(self.step.max(1)).min(bytes.len() - *at);
            buffer[..count].copy_from_slice(&bytes[*at..*at + count]);
            *at += count;
            Ok(count)
        }

        fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
            self.heard.lock().unwrap().extend_from_slice(bytes);
            Ok(())
        }

        fn secure(&mut self) -> Result<(), Failure> {
            Ok(())
        }

        fn is_secure(&self) -> bool {
            false
        }
    }

    pub(in super::super) fn packet(number: u8, content: &[u8]) -> Vec<u8> {
        let [a, b, c, _] = (content.len() as u32).to_le_bytes();
        [&[a, b, c, number], content].concat()
    }

    pub(in super::super) fn wire(said: Vec<u8>, step: usize) -> (Wire, Canned) {
        let canned = Canned { said: Arc::new(Mutex::new((said, 0))), step, ..Canned::default() };
        (Wire::new(Box::new(canned.clone()), Duration::ZERO), canned)
    }

    #[test]
    fn packets_come_whole_however_they_arrive() {
        let long = vec![7; BUFFER * 2];
        let huge = vec![8; FULL + 5];
        let said = [
            packet(0, b"a"),
            packet(1, &long),
            packet(2, &huge[..FULL]),
            packet(3, &huge[FULL..]),
            packet(4, b""),
        ]
        .concat();
        for step in [1 << 20, 100_003] {
            let (mut wire, _) = wire(said.clone(), step);
            assert_eq!(wire.packet(9).unwrap(), b"a");
            assert_eq!(wire.packet(1 << 30).unwrap(), long);
            assert_eq!(wire.packet(1 << 30).unwrap(), huge);
            assert_eq!(wire.packet(1 << 30).unwrap(), b"");
            let error = wire.packet(9).unwrap_err().error;
            assert_eq!(error.kind(), Kind::RemoteUnavailable);
        }
    }

    #[test]
    fn lengths_that_promise_much_and_numbers_out_of_turn_are_refused() {
        let (mut small, _) = wire(packet(0, &[0; 100]), 7);
        assert_eq!(small.packet(99).unwrap_err().error.kind(), Kind::RowTooLarge);
        let (mut joined, _) = wire([packet(0, &vec![0; FULL]), packet(1, b"xy")].concat(), 1 << 20);
        assert_eq!(joined.packet(FULL + 1).unwrap_err().error.kind(), Kind::RowTooLarge);
        let (mut promised, _) = wire([&[0xfe, 0xff, 0xff, 0][..], &[1; 50]].concat(), 9);
        assert_eq!(promised.packet(1 << 30).unwrap_err().error.kind(), Kind::RemoteUnavailable);
        assert!(promised.gathered.capacity() < 1 << 10);
        let (mut turn, _) = wire(packet(1, b"x"), 9);
        assert_eq!(turn.packet(9).unwrap_err().error.kind(), Kind::RemoteAnswer);
    }

    #[test]
    fn long_content_is_sent_in_several() {
        let (mut wire, canned) = wire(Vec::new(), 1);
        let mut frame = vec![1; HEAD + FULL];
        wire.send(&mut frame).unwrap();
        let heard = canned.heard.lock().unwrap();
        assert_eq!(heard.len(), HEAD + FULL + HEAD);
        assert_eq!(
            (&heard[..4], &heard[HEAD + FULL..]),
            (&[255, 255, 255, 0][..], &[0, 0, 0, 1][..])
        );
    }
}
