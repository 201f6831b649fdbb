//! A compressed tar without a table of frames: decoded from its beginning, as it passes.

use std::sync::{Mutex, PoisonError};

use crate::archive::plain::Plain;
use crate::codec::contract::Step;
use crate::codec::{Caps, Codec, Decoder};
use crate::endpoint::contract::Reader;
use crate::error::{EngineError, Kind, Result};

/// Stored bytes read at once, and plain bytes passed over at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A compressed tar that is read in order. Going back means to begin again, which only members
/// that name an earlier one need.
pub struct Stream {
    reader: Box<dyn Reader>,
    codec: &'static Codec,
    caps: Caps,
    /// Memory for the decoder, taken by the caller.
    granted: u64,
    state: Mutex<Option<State>>,
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
        Self { reader, codec, caps, granted, state: Mutex::new(None) }
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
        let again = held.as_ref().is_none_or(|state| state.plain > offset);
        if again {
            *held = Some(self.begin()?);
        }
        let Some(state) = held.as_mut() else {
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
