//! An object being read: pinned to one version, each range by a request of its own, whose body is
//! read as it comes.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::contract::Reader;
use crate::error::{EngineError, Kind, Result};
use crate::limits::PART_BYTES;
use crate::model::choice::Carry;
use crate::model::digest::Digest;
use crate::model::extended::Extended;
use crate::model::item::{Attributes, Handle, Identity};
use crate::remote::call::{Failure, Side, Verb};
use crate::remote::client::Answer;

use super::metadata;
use super::verbs::{From, Object, Opened, Store};

/// Answers in a row that may break off without a byte before the reader gives up.
const BROKEN_MAX: u32 = 5;

/// A body that is being read.
struct Stream {
    at: u64,
    end: u64,
    body: Answer,
}

/// An open object.
pub(super) struct ObjectReader {
    store: Arc<dyn Store>,
    object: Object,
    streams: Mutex<Vec<Stream>>,
    expected: Mutex<Vec<Range<u64>>>,
    /// Set once the version that was opened is gone.
    changed: AtomicBool,
}

impl ObjectReader {
    /// Opens the version that is there now: by its first bytes, which come with all that is known
    /// of it where the store tells user metadata with them, and for a large object by a look.
    pub(super) fn open(store: &Arc<dyn Store>, known: &Object) -> Result<Self> {
        let opened = if known.size <= PART_BYTES {
            match store.read(&known.key, known.version, None) {
                // Another version is there by now: that one is read.
                Err(error) if error.kind() == Kind::SourceChanged => {
                    store.read(&known.key, crate::model::version::Version::default(), None)
                }
                opened => opened,
            }
            .map(at_once)
        } else {
            let looked = store.look(&known.key)?.ok_or_else(gone)?;
            match looked.rangeless {
                // What comes may be another state than the one that was looked at.
                true => store.read(&looked.key, looked.version, None).map(at_once),
                false => Ok((looked, Vec::new())),
            }
        };
        let (mut object, streams) = opened?;
        object.rangeless |= known.rangeless;
        let described = describe(store, known, &mut object)?;
        if object.archived {
            let message = "the object lies in an archive tier";
            return Err(EngineError::new(Kind::ObjectArchived, message));
        }
        Ok(Self {
            store: Arc::clone(store),
            object,
            streams: Mutex::new(streams),
            expected: Mutex::default(),
            changed: AtomicBool::new(!described),
        })
    }

    fn taken(&self, offset: u64) -> Option<Stream> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let at = streams.iter().position(|stream| stream.at == offset)?;
        Some(streams.swap_remove(at))
    }

    /// What is asked for when somebody reads from here on.
    fn range(&self, offset: u64, want: u64) -> Range<u64> {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let end = match expected.iter().position(|range| range.contains(&offset)) {
            Some(at) => expected.swap_remove(at).end,
            None => offset + want.max(PART_BYTES),
        };
        offset..end.min(self.object.size)
    }

    fn stream(&self, offset: u64, want: u64) -> Result<Option<Stream>> {
        if let Some(stream) = self.taken(offset) {
            return Ok(Some(stream));
        }
        if self.in_one() {
            // It broke off, and cannot be gone on with: it is read again from its beginning.
            self.changed.store(true, Ordering::Release);
            return Ok(None);
        }
        let range = self.range(offset, want);
        match self.store.read(&self.object.key, self.object.version, Some(range.clone())) {
            Ok(Opened { object, body }) if object.size == self.object.size => {
                Ok(Some(Stream { at: offset, end: range.end, body }))
            }
            // Its version does not tell it from another one.
            Ok(_) => {
                self.changed.store(true, Ordering::Release);
                Ok(None)
            }
            Err(error) if matches!(error.kind(), Kind::SourceChanged | Kind::SourceNotFound) => {
                self.changed.store(true, Ordering::Release);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// An object whose whole is being read.
fn at_once(Opened { object, body }: Opened) -> (Object, Vec<Stream>) {
    let end = if object.sizeless { u64::MAX } else { object.size };
    (object, vec![Stream { at: 0, end, body }])
}

/// Adds what the answer to a read left out: user metadata with what goes with it, and the time as
/// listings tell it, by what
/// was seen of the same version, or by a look. False when another version stands there by now.
fn describe(store: &Arc<dyn Store>, known: &Object, object: &mut Object) -> Result<bool> {
    if object.metadata.is_some() {
        return Ok(true);
    }
    let seen = known.metadata.is_some().then(|| known.clone());
    let seen = match seen.filter(|seen| seen.version == object.version) {
        Some(seen) => Some(seen),
        None => store.look(&object.key)?.filter(|looked| looked.version == object.version),
    };
    let Some(seen) = seen else {
        return Ok(false);
    };
    object.metadata = seen.metadata;
    object.modified = seen.modified;
    object.content_type = seen.content_type;
    object.fields = seen.fields;
    Ok(true)
}

fn gone() -> EngineError {
    EngineError::new(Kind::SourceNotFound, "the object does not exist")
}

fn unread(failure: &Failure) -> EngineError {
    failure.error(Side::Source, Verb::Read, "failed to read the object")
}

impl Reader for ObjectReader {
    fn facts(&self) -> (u64, Attributes) {
        (self.object.size, metadata::attributes(&self.object))
    }

    fn identity(&self) -> Identity {
        let (ctime, version) = (self.object.modified, self.object.version);
        Identity { ctime, version, ..Identity::default() }
    }

    fn extended(&self, carry: Carry) -> Result<Extended> {
        let all = metadata::extended(&self.object);
        let xattrs = if carry.xattrs { all.xattrs } else { Vec::new() };
        Ok(Extended { xattrs, ..all })
    }

    fn stored(&self) -> &[Digest] {
        &self.object.digests
    }

    fn in_one(&self) -> bool {
        self.object.sizeless || self.object.rangeless
    }

    fn expect(&self, range: Range<u64>) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.push(range);
    }

    fn leave(&self, range: Range<u64>) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|stream| !range.contains(&stream.at));
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        expected.retain(|other| !range.contains(&other.start));
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let ended = !self.object.sizeless && offset >= self.object.size;
        if ended || buffer.is_empty() {
            return Ok(0);
        }
        let mut broken = 0;
        loop {
            let Some(mut stream) = self.stream(offset, buffer.len() as u64)? else {
                return Ok(0);
            };
            let want = (stream.end - stream.at).min(buffer.len() as u64) as usize;
            match stream.body.read(buffer.get_mut(..want).unwrap_or_default()) {
                Ok(count) if count > 0 => {
                    stream.at += count as u64;
                    if stream.at < stream.end {
                        let mut streams =
                            self.streams.lock().unwrap_or_else(PoisonError::into_inner);
                        streams.push(stream);
                    }
                    return Ok(count);
                }
                Err(failure) if !failure.class.passes() => return Err(unread(&failure)),
                Err(failure) if broken >= BROKEN_MAX => return Err(unread(&failure)),
                Ok(_) if self.object.sizeless => return Ok(0),
                // Broken off: the rest is asked for again, from this very version.
                Ok(_) | Err(_) => broken += 1,
            }
            if broken > BROKEN_MAX {
                let message = "the service goes on ending its answers early";
                return Err(EngineError::new(Kind::RemoteUnavailable, message).offset(offset));
            }
        }
    }

    fn data(&self, offset: u64) -> Result<Option<Range<u64>>> {
        Ok((offset < self.object.size).then_some(offset..self.object.size))
    }

    fn handle(&self) -> Handle {
        let (store, object) = (Arc::clone(&self.store), self.object.clone());
        Handle::new(Arc::new(From { store, object }))
    }

    fn unchanged(&self) -> Result<bool> {
        Ok(!self.changed.load(Ordering::Acquire))
    }
}
