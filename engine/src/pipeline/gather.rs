//! What is written in pieces of any length, gathered into whole parts: for destinations that take
//! nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::contract::{HeldBytes, Intake, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::attempt::Notes;
use crate::model::digest::Algorithm;
use crate::model::found::Mark;
use crate::model::item::{Attributes, Handle};
use crate::model::parts::{PartDigest, PartHasher};
use crate::pipeline::content::ChunkBuffer;
use crate::resource::budget::{Budget, Permit};
use crate::resource::cancel::Switch;

/// How long memory is waited for by those who hold some already, and how long apart they look.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// An intake that takes bytes in order, of any length, and hands on whole parts. What fits one part
/// is held whole until it is published.
pub struct Gather {
    inner: Box<dyn Intake>,
    /// Where it is recorded before its first part.
    notes: Option<Notes>,
    part_bytes: u64,
    source: Source,
    state: Mutex<State>,
}

/// Where memory is had.
struct Source {
    memory: Memory,
    budget: Budget,
    switch: Switch,
}

struct State {
    /// Had with the first byte.
    buffer: Option<ChunkBuffer>,
    /// Where the part in the buffer begins.
    start: u64,
    /// Bytes of it that are there.
    filled: usize,
    /// A point to go back to: where its part begins, and what is before it in that part.
    pinned: Option<(u64, Vec<u8>)>,
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

/// Where the memory of a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// It was taken with the worker's own.
    Counted,
    /// It is waited for, by somebody who holds next to nothing.
    Waited,
    /// It goes before those who wait, since nothing held is given back without it.
    Ahead,
}

impl Gather {
    /// Gathers for `inner` where it takes whole parts only; gives it back as it is otherwise.
    #[must_use]
    pub fn around(job: &Job, inner: Box<dyn Intake>, memory: Memory) -> Box<dyn Intake> {
        let Some(part_bytes) = inner.part_bytes() else {
            return inner;
        };
        let (budget, switch) = (job.engine.budget.clone(), job.switch.clone());
        let source = Source { memory, budget, switch };
        let state = State { buffer: None, start: 0, filled: 0, pinned: None };
        let notes = job.notes();
        Box::new(Self { inner, notes, part_bytes, source, state: Mutex::new(state) })
    }

    fn send(&self, state: &mut State) -> Result<()> {
        let start = state.start;
        if start == 0 {
            noted(self.notes.as_ref(), &*self.inner)?;
        }
        let bytes = state.bytes();
        let digest = part_digest(self.inner.part_digest(), start, bytes);
        self.inner.write_part(start, bytes, digest)?;
        state.start += state.filled as u64;
        state.filled = 0;
        Ok(())
    }

    /// Hands on what fits one part, to be kept until it is published.
    fn held(&self, state: &mut State) -> Result<()> {
        let filled = state.filled;
        let Some(buffer) = state.buffer.take() else {
            return self.inner.hold(Box::new([0u8; 0]), None);
        };
        let held = buffer.held(filled);
        let digest = part_digest(self.inner.part_digest(), 0, (*held).as_ref());
        self.inner.hold(held, digest)
    }

    /// Goes back to where writing may go on.
    fn go_to(&self, state: &mut State, offset: u64) -> Result<()> {
        if let Some((start, bytes)) = state.pinned.as_ref().filter(|_| offset < state.start)
            && offset == start + bytes.len() as u64
        {
            state.start = *start;
            if let Some(buffer) = &mut state.buffer {
                let into = buffer.bytes().get_mut(..bytes.len()).unwrap_or_default();
                into.copy_from_slice(bytes);
            }
        }
        if offset < state.start || offset > state.start + state.filled.max(state.kept()) as u64 {
            let message = "what was sent cannot be written again";
            return Err(EngineError::new(Kind::Internal, message).offset(offset));
        }
        state.filled = (offset - state.start) as usize;
        Ok(())
    }
}

impl Source {
    fn take(&self, bytes: u64) -> Result<ChunkBuffer> {
        let permit = match self.memory {
            Memory::Counted => self.budget.take(0, &self.switch)?,
            Memory::Waited => self.budget.take(bytes, &self.switch)?,
            Memory::Ahead => self.take_ahead(bytes)?,
        };
        ChunkBuffer::granted(permit, bytes)
    }

    fn take_ahead(&self, bytes: u64) -> Result<Permit> {
        let begun = Instant::now();
        loop {
            if let Some(permit) = self.budget.take_ahead(bytes) {
                return Ok(permit);
            }
            if begun.elapsed() > PATIENCE {
                let message = format!("a part of {bytes} bytes needs more memory than is free");
                return Err(EngineError::new(Kind::Memory, message)
                    .hint("raise --memory-cap, or give the location a smaller part_bytes"));
            }
            self.switch.sleep(PAUSE)?;
        }
    }
}

impl State {
    fn bytes(&mut self) -> &[u8] {
        let filled = self.filled;
        self.buffer
            .as_mut()
            .map(|buffer| buffer.bytes())
            .and_then(|all| all.get(..filled))
            .unwrap_or_default()
    }

    /// Bytes at the beginning of the buffer that are those of the point to go back to.
    fn kept(&self) -> usize {
        let pinned = self.pinned.as_ref().filter(|(start, _)| *start == self.start);
        pinned.map_or(0, |(_, bytes)| bytes.len())
    }
}

impl Intake for Gather {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        self.go_to(state, offset)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full part is sent once more is known to follow: a whole one is held.
            if state.filled as u64 == self.part_bytes {
                self.send(state)?;
            }
            let buffer = match &mut state.buffer {
                Some(buffer) => buffer,
                empty => empty.insert(self.source.take(self.part_bytes)?),
            };
            let room = self.part_bytes as usize - state.filled;
            let (now, later) = rest.split_at(room.min(rest.len()));
            let into = buffer.bytes().get_mut(state.filled..state.filled + now.len());
            into.unwrap_or_default().copy_from_slice(now);
            state.filled += now.len();
            rest = later;
        }
        Ok(())
    }

    fn pin(&self, offset: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if offset == state.start + state.filled as u64 {
            state.pinned = Some((state.start, state.bytes().to_vec()));
        }
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
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = state.start == 0;
        let given = if size != state.start + state.filled as u64 {
            Err(EngineError::new(Kind::Internal, "another size was gathered than is sealed"))
        } else if whole {
            self.held(&mut state)
        } else {
            self.send(&mut state)
        };
        drop(state);
        let Self { inner, .. } = *self;
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
