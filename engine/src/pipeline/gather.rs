//! What is written in pieces of any length, gathered into whole parts: for destinations that take
//! nothing else.

use std::sync::{Mutex, PoisonError};

use crate::endpoint::contract::{HeldBytes, Intake, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::attempt::Notes;
use crate::model::digest::Algorithm;
use crate::model::found::Mark;
use crate::model::item::{Attributes, Handle};
use crate::model::parts::{PartDigest, PartHasher};
use crate::pipeline::content::ChunkBuffer;

/// An intake that takes bytes in order, of any length, and hands on whole parts. What fits one part
/// is held whole until it is published.
pub struct Gather {
    inner: Box<dyn Intake>,
    /// Where it is recorded before its first part.
    notes: Option<Notes>,
    part_bytes: u64,
    state: Mutex<State>,
}

struct State {
    buffer: ChunkBuffer,
    /// Where the part in the buffer begins.
    start: u64,
    /// Bytes of it that are there.
    filled: usize,
}

/// Records the name by which an item in parts is found after a kill. To be called before its first
/// part is written.
///
/// # Errors
/// `StateDir`, and what keeps it from being begun.
pub fn noted(notes: Option<&Notes>, intake: &dyn Intake) -> Result<Option<Vec<u8>>> {
    let note = |token: &[u8]| notes.map_or(Ok(()), |notes| notes.add(token));
    intake.intent().as_deref().map_or(Ok(()), note)?;
    let token = intake.token()?;
    token.as_deref().map_or(Ok(()), note)?;
    Ok(token)
}

/// The checksum that a destination wants of a part.
#[must_use]
pub fn part_digest(algorithm: Option<Algorithm>, offset: u64, bytes: &[u8]) -> Option<PartDigest> {
    let mut hasher = PartHasher::new(algorithm?, offset)?;
    hasher.update(bytes);
    Some(hasher.finish())
}

impl Gather {
    /// Gathers for `inner` where it takes whole parts only; gives it back as it is otherwise. The
    /// memory of one part is taken from the job.
    ///
    /// # Errors
    /// `Memory`, `Cancelled`; `inner` is removed then.
    pub fn around(job: &Job, inner: Box<dyn Intake>) -> Result<Box<dyn Intake>> {
        let Some(part_bytes) = inner.part_bytes() else {
            return Ok(inner);
        };
        match ChunkBuffer::new(job, part_bytes) {
            Ok(buffer) => {
                let state = Mutex::new(State { buffer, start: 0, filled: 0 });
                Ok(Box::new(Self { inner, notes: job.notes(), part_bytes, state }))
            }
            Err(error) => {
                inner.abort();
                Err(error)
            }
        }
    }
}

impl State {
    fn bytes(&mut self) -> &[u8] {
        let filled = self.filled;
        self.buffer.bytes().get(..filled).unwrap_or_default()
    }

    fn send(&mut self, inner: &dyn Intake, notes: Option<&Notes>) -> Result<()> {
        let start = self.start;
        if start == 0 {
            noted(notes, inner)?;
        }
        let bytes = self.bytes();
        let digest = part_digest(inner.part_digest(), start, bytes);
        inner.write_part(start, bytes, digest)?;
        self.start += self.filled as u64;
        self.filled = 0;
        Ok(())
    }
}

impl Intake for Gather {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if offset < state.start || offset > state.start + state.filled as u64 {
            let message = "what was sent cannot be written again";
            return Err(EngineError::new(Kind::Internal, message).offset(offset));
        }
        state.filled = (offset - state.start) as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full part is sent once more is known to follow: a whole one is held.
            if state.filled as u64 == self.part_bytes {
                state.send(&*self.inner, self.notes.as_ref())?;
            }
            let room = self.part_bytes as usize - state.filled;
            let (now, later) = rest.split_at(room.min(rest.len()));
            let into = state.buffer.bytes().get_mut(state.filled..state.filled + now.len());
            into.unwrap_or_default().copy_from_slice(now);
            state.filled += now.len();
            rest = later;
        }
        Ok(())
    }

    fn hold(&self, _bytes: HeldBytes, _digest: Option<PartDigest>) -> Result<()> {
        Err(EngineError::new(Kind::Internal, "what is gathered is not held"))
    }

    fn share(&self, _from: &Handle) -> Result<bool> {
        Ok(false)
    }

    fn clear(&self, offset: u64, _length: u64) -> Result<()> {
        Err(EngineError::new(Kind::Internal, "what is gathered has no holes").offset(offset))
    }

    fn reserve(&self, bytes: u64) -> Result<()> {
        self.inner.reserve(bytes)
    }

    fn offload(&self, _from: &Handle, _offset: u64, _length: u64) -> Result<Option<u64>> {
        Ok(None)
    }

    fn token(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn mark(&self) -> Result<Mark> {
        self.inner.mark()
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8], device: bool) -> Result<usize> {
        self.inner.read_at(offset, buffer, device)
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let Self { inner, notes, state, .. } = *self;
        let mut state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let given = if size != state.start + state.filled as u64 {
            Err(EngineError::new(Kind::Internal, "another size was gathered than is sealed"))
        } else if state.start > 0 {
            state.send(&*inner, notes.as_ref())
        } else {
            let State { buffer, filled, .. } = state;
            let held = buffer.held(filled);
            let digest = part_digest(inner.part_digest(), 0, (*held).as_ref());
            inner.hold(held, digest)
        };
        match given {
            Ok(()) => inner.seal(size, attributes, target),
            Err(error) => {
                inner.abort();
                Err(error)
            }
        }
    }

    fn abort(self: Box<Self>) {
        self.inner.abort();
    }
}
