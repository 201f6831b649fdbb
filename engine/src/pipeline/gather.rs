//! What is written in pieces of any length, gathered into whole parts: for destinations that take
//! nothing else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::endpoint::contract::{HeldBytes, Intake, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::job::Job;
use crate::journal::begun::Notes;
use crate::model::found::Mark;
use crate::model::item::{Attributes, Handle};
use crate::model::parts::PartDigest;
use crate::pipeline::content::ChunkBuffer;
use crate::pipeline::hashers::part_digest;
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
    /// How long the part in the buffer becomes.
    part_bytes: u64,
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
    let intent = intake.intent();
    intent.as_deref().map_or(Ok(()), note)?;
    let token = intake.token()?;
    token.as_deref().map_or(Ok(()), note)?;
    if let (Some(notes), Some(intent), Some(_)) = (notes, intent, &token) {
        // The name says it all from now on.
        notes.over(&intent);
    }
    Ok(token)
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
        let state = State { buffer: None, part_bytes, start: 0, filled: 0, pinned: None };
        let notes = job.notes();
        Box::new(Self { inner, notes, source, state: Mutex::new(state) })
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

    /// Makes the buffer longer where its next part should be, and memory for it is free. What
    /// cannot be had now is asked for again with each part.
    fn lengthen(&self, state: &mut State) -> Result<()> {
        let Some(wanted) = self.inner.longer(state.start) else {
            return Ok(());
        };
        if let Some(buffer) = self.source.longer(wanted)? {
            state.buffer = Some(buffer);
            state.part_bytes = wanted;
            self.inner.lengthen(state.start, wanted);
        }
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
            self.inner.lengthen(*start, state.part_bytes);
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

    /// A longer buffer, where memory for it is free beside the one that it takes the place of:
    /// nobody waits here while holding.
    fn longer(&self, bytes: u64) -> Result<Option<ChunkBuffer>> {
        let permit = self.budget.take_ahead(bytes);
        permit.map(|permit| ChunkBuffer::granted(permit, bytes)).transpose()
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
            if state.filled as u64 == state.part_bytes {
                self.send(state)?;
                self.lengthen(state)?;
            }
            let buffer = match &mut state.buffer {
                Some(buffer) => buffer,
                empty => empty.insert(self.source.take(state.part_bytes)?),
            };
            let room = state.part_bytes as usize - state.filled;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// An intake whose parts are 2 bytes long, and from 4 bytes on should be 8.
    #[derive(Default)]
    struct Parts {
        sent: Mutex<Vec<(u64, Vec<u8>)>>,
        long_from: Mutex<Option<u64>>,
    }

    impl Intake for Arc<Parts> {
        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            let mut sent = self.sent.lock().unwrap();
            sent.retain(|(start, _)| *start < offset);
            sent.push((offset, bytes.to_vec()));
            Ok(())
        }

        fn part_bytes(&self) -> Option<u64> {
            Some(2)
        }

        fn longer(&self, offset: u64) -> Option<u64> {
            (offset >= 4 && self.long_from.lock().unwrap().is_none()).then_some(8)
        }

        fn lengthen(&self, offset: u64, length: u64) {
            *self.long_from.lock().unwrap() = (length == 8).then_some(offset);
        }

        fn share(&self, _: &Handle) -> Result<bool> {
            Ok(false)
        }

        fn clear(&self, _: u64, _: u64) -> Result<()> {
            Ok(())
        }

        fn reserve(&self, _: u64) -> Result<()> {
            Ok(())
        }

        fn offload(&self, _: &Handle, _: u64, _: u64) -> Result<Option<u64>> {
            Ok(None)
        }

        fn mark(&self) -> Result<Mark> {
            Ok(Mark::default())
        }

        fn sync(&self) -> Result<()> {
            Ok(())
        }

        fn read_at(&self, _: u64, _: &mut [u8], _: bool) -> Result<usize> {
            Ok(0)
        }

        fn seal(self: Box<Self>, _: u64, _: &Attributes, _: &Target) -> Result<Staged> {
            Err(EngineError::new(Kind::Unsupported, "nothing is sealed"))
        }

        fn abort(self: Box<Self>) {}
    }

    fn gather(parts: &Arc<Parts>, budget: &Budget) -> Gather {
        let source =
            Source { memory: Memory::Waited, budget: budget.clone(), switch: Switch::default() };
        let state = State { buffer: None, part_bytes: 2, start: 0, filled: 0, pinned: None };
        Gather { inner: Box::new(Arc::clone(parts)), notes: None, source, state: state.into() }
    }

    fn lengths(parts: &Arc<Parts>) -> Vec<usize> {
        parts.sent.lock().unwrap().iter().map(|(_, bytes)| bytes.len()).collect()
    }

    #[test]
    fn parts_become_longer_as_soon_as_there_is_memory() {
        let parts = Arc::new(Parts::default());
        let budget = Budget::new(12);
        let others = budget.take(4, &Switch::default()).unwrap();
        let gather = gather(&parts, &budget);
        let bytes: Vec<u8> = (0..40).collect();
        gather.write_at(0, &bytes[..9]).unwrap();
        assert_eq!(lengths(&parts), [2, 2, 2, 2]);
        drop(others);
        gather.write_at(9, &bytes[9..]).unwrap();
        assert_eq!(lengths(&parts), [2, 2, 2, 2, 2, 8, 8, 8]);
        assert_eq!(*parts.long_from.lock().unwrap(), Some(10));
        // What the shorter buffer had is given back.
        assert!(budget.take_ahead(4).is_some() && budget.take_ahead(5).is_none());
        let sent: Vec<u8> = parts.sent.lock().unwrap().iter().flat_map(|p| p.1.clone()).collect();
        assert_eq!(sent, bytes[..34]);
    }

    #[test]
    fn who_goes_back_writes_on_in_long_parts() {
        let parts = Arc::new(Parts::default());
        let gather = gather(&parts, &Budget::new(12));
        let bytes: Vec<u8> = (0..60).collect();
        gather.write_at(0, &bytes[..3]).unwrap();
        gather.pin(3);
        gather.write_at(3, &bytes[3..30]).unwrap();
        assert_eq!(lengths(&parts), [2, 2, 8, 8, 8]);
        gather.write_at(3, &bytes[33..50]).unwrap();
        assert_eq!(*parts.long_from.lock().unwrap(), Some(2));
        assert_eq!(lengths(&parts), [2, 8, 8]);
        let sent: Vec<u8> = parts.sent.lock().unwrap().iter().flat_map(|p| p.1.clone()).collect();
        assert_eq!(sent, [&bytes[..3], &bytes[33..48]].concat());
    }
}
