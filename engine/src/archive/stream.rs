//! A compressed tar without a table of frames: decoded from its beginning, as it passes.

use std::sync::{Mutex, PoisonError};

use crate::archive::plain::Plain;
use crate::codec::contract::Step;
use crate::codec::{Caps, Codec, Decoder};
use crate::endpoint::contract::Reader;
use crate::error::{EngineError, Kind, Result};
use crate::limits::ARCHIVE_RESTARTS_MAX;

/// Stored bytes read at once, and plain bytes passed over at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A compressed tar that is read in order. Going back means to begin again, which only members
/// that name an earlier one need, and which is done [`ARCHIVE_RESTARTS_MAX`] times at most.
pub struct Stream {
    reader: Box<dyn Reader>,
    codec: &'static Codec,
    caps: Caps,
    /// Memory for the decoder, taken by the caller.
    granted: u64,
    state: Mutex<Held>,
}

/// The state, once something was read, and how often it was begun again.
#[derive(Default)]
struct Held {
    state: Option<State>,
    restarts: u32,
}

struct State {
    decoder: Decoder,
    input: Vec<u8>,
    begin: usize,
    read: u64,
    plain: u64,
    ended: bool,
    left: u64,
}

impl Stream {
    /// A tar in this form, whose decoder may take so much memory.
    #[must_use]
    pub fn new(reader: Box<dyn Reader>, codec: &'static Codec, caps: Caps, granted: u64) -> Self {
        Self { reader, codec, caps, granted, state: Mutex::default() }
    }

    fn begin(&self) -> Result<State> {
        Ok(State {
            decoder: Decoder::new(self.codec, self.caps)?,
            input: Vec::with_capacity(CHUNK_BYTES),
            begin: 0,
            read: 0,
            plain: 0,
            ended: false,
            left: self.granted,
        })
    }

    /// Decodes on; 0 only at the end, which is checked then.
    fn next(&self, state: &mut State, output: &mut [u8]) -> Result<usize> {
        loop {
            let input = state.input.get(state.begin..).unwrap_or_default();
            let left = &mut state.left;
            let mut grant = |bytes: u64| match left.checked_sub(bytes) {
                Some(rest) => {
                    *left = rest;
                    Ok(())
                }
                None => {
                    let message = "a later part of the archive wants more memory than the first";
                    Err(EngineError::new(Kind::Memory, message))
                }
            };
            let step = state.decoder.step(input, output, &mut grant)?;
            state.begin += step.taken;
            state.plain += step.given as u64;
            if step.given > 0 {
                return Ok(step.given);
            }
            if step != Step::default() {
                continue;
            }
            if state.ended {
                state.decoder.finish()?;
                return Ok(0);
            }
            self.more(state)?;
        }
    }

    fn more(&self, state: &mut State) -> Result<()> {
        state.input.drain(..state.begin);
        state.begin = 0;
        let held = state.input.len();
        if held > CHUNK_BYTES {
            let message = "it is damaged";
            return Err(EngineError::new(Kind::SourceCorrupt, message).offset(state.read));
        }
        state.input.resize(held + CHUNK_BYTES, 0);
        let room = state.input.get_mut(held..).unwrap_or_default();
        let count = self.reader.read_at(state.read, room)?;
        state.input.truncate(held + count);
        state.read += count as u64;
        state.ended = count == 0;
        Ok(())
    }
}

impl Plain for Stream {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_behind = held.state.as_ref().is_some_and(|state| state.plain > offset);
        if is_behind {
            if held.restarts >= ARCHIVE_RESTARTS_MAX {
                let message =
                    "too many members name earlier ones, which are decoded again each time";
                return Err(EngineError::new(Kind::Unsupported, message)
                    .hint("decompress the archive to a plain tar first, then restore that"));
            }
            held.restarts += 1;
        }
        if is_behind || held.state.is_none() {
            held.state = Some(self.begin()?);
        }
        let Some(state) = held.state.as_mut() else {
            return Ok(0);
        };
        let mut passed = vec![0; if state.plain < offset { CHUNK_BYTES } else { 0 }];
        while state.plain < offset {
            let room = (offset - state.plain).min(CHUNK_BYTES as u64) as usize;
            if self.next(state, passed.get_mut(..room).unwrap_or_default())? == 0 {
                return Ok(0);
            }
        }
        self.next(state, buffer)
    }

    fn in_order(&self) -> bool {
        true
    }

    fn unchanged(&self) -> Result<bool> {
        self.reader.unchanged()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::codec::{self, Encoder};
    use crate::model::item::{Attributes, Handle, Identity};

    struct Stored(Vec<u8>);

    impl Reader for Stored {
        fn facts(&self) -> (u64, Attributes) {
            (self.0.len() as u64, Attributes::default())
        }

        fn identity(&self) -> Identity {
            Identity::default()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
            Ok(Some(offset..self.0.len() as u64))
        }

        fn handle(&self) -> Handle {
            Handle::default()
        }

        fn unchanged(&self) -> Result<bool> {
            Ok(true)
        }
    }

    #[test]
    fn going_back_has_an_end_and_going_on_has_none() {
        let codec = codec::by_name("gzip").unwrap();
        let (mut encoder, mut stored) = (Encoder::new(codec, 1).unwrap(), Vec::new());
        let plain: Vec<u8> = (0..=255).collect();
        encoder.take(&plain, &mut stored).unwrap();
        encoder.finish(&mut stored).unwrap();
        let stream = Stream::new(Box::new(Stored(stored)), codec, Caps::NONE, 1 << 20);
        let at = |offset: u64| {
            let mut byte = [0];
            stream.read_at(offset, &mut byte).map(|count| (count, byte[0]))
        };
        assert_eq!(at(9).unwrap(), (1, 9));
        for _ in 0..ARCHIVE_RESTARTS_MAX {
            assert_eq!((at(3).unwrap(), at(7).unwrap()), ((1, 3), (1, 7)));
        }
        assert_eq!(at(3).unwrap_err().kind(), Kind::Unsupported);
        assert_eq!((at(8).unwrap(), at(200).unwrap()), ((1, 8), (1, 200)));
    }
}
