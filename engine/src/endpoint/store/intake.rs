//! An object being written: held whole, or sent in parts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::endpoint::contract::{HeldBytes, Intake, Staged, Target};
use crate::error::{EngineError, Kind, Result};
use crate::model::digest::Algorithm;
use crate::model::found::Mark;
use crate::model::item::{Attributes, Handle, Timestamp};
use crate::model::leftover::Over;
use crate::model::loss::{Loss, What, lose};
use crate::model::parts::{PartDigest, joined};
use crate::remote::ties::Left;

use super::parts::Cut;
use super::token::Token;
use super::verbs::{Copying, From, Part, Put, Rules, Store, Upload, Whole};

/// What is published.
pub(super) enum Sealed {
    /// In one request.
    Whole(HeldBytes),
    /// By completing an upload.
    Parts(Upload, Vec<Part>),
    /// By the store, from an object of its own.
    Copied(From),
}

/// A sealed object.
pub(super) struct Sealing {
    pub(super) key: String,
    pub(super) content: Sealed,
    pub(super) put: Put,
    /// The number of this write.
    pub(super) write: u64,
    /// As [`Shape::resumes`](crate::endpoint::contract::Shape::resumes).
    pub(super) resumes: bool,
}

/// An object being written.
pub(super) struct ObjectIntake {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: Rules,
    pub(super) key: String,
    pub(super) put: Put,
    /// What of the source its metadata cannot hold.
    pub(super) lost: Vec<Loss>,
    /// Whether the source has tags, which go only with a copy that the store makes by itself.
    pub(super) tagged: bool,
    /// The number of this write.
    pub(super) write: u64,
    /// Where its parts lie.
    pub(super) cut: Mutex<Cut>,
    /// As [`Shape::resumes`](crate::endpoint::contract::Shape::resumes).
    pub(super) resumes: bool,
    /// Told of an upload that cannot be given up.
    pub(super) left: Arc<Left>,
    /// Told of one that was.
    pub(super) over: Arc<Over>,
    pub(super) state: Mutex<State>,
}

/// What was written so far.
#[derive(Default)]
pub(super) struct State {
    upload: Option<Upload>,
    parts: BTreeMap<u32, Part>,
    /// Checksums of parts as they were sent.
    sums: BTreeMap<u32, PartDigest>,
    held: Option<(HeldBytes, Option<PartDigest>)>,
    copied: Option<From>,
    /// The checksum of the object whose parts the store copies, as the store holds it.
    offered: Option<Whole>,
}

impl State {
    /// That of an upload which an earlier attempt began, and of the parts that its store has.
    pub(super) fn adopted(upload: Upload, parts: Vec<Part>) -> Self {
        let parts = parts.into_iter().map(|part| (part.index, part)).collect();
        Self { upload: Some(upload), parts, ..Self::default() }
    }
}

/// Gives an upload up. One that stays is named in the job's record, which is kept for it.
pub(super) fn abandon(store: &dyn Store, write: u64, upload: &Upload, left: &Left, over: &Over) {
    match store.abandon(upload) {
        Ok(()) => over.add(token_of(store, write, upload)),
        Err(error) => left.add(error.at(upload.key.as_str())),
    }
}

/// How an upload is named in the job's record.
pub(super) fn token_of(store: &dyn Store, write: u64, upload: &Upload) -> Vec<u8> {
    let (bucket, upload) = (store.identity().to_owned(), upload.clone());
    Token { bucket, write, upload }.encode()
}

/// A part's CRC as stores take it.
fn whole(algorithm: Option<Algorithm>, digest: Option<PartDigest>) -> Option<Whole> {
    match (algorithm, digest) {
        (Some(algorithm), Some(PartDigest::Crc(value, _))) => Some(Whole { algorithm, value }),
        _ => None,
    }
}

/// Whether a listed part is the one that was sent with this checksum, and taken under this tag.
fn is_that(part: &Part, bytes: u64, ours: Option<Whole>, tag: Option<&str>) -> bool {
    let is_same = match part.digest {
        Some(_) => part.digest == ours,
        // The tag came with the answer that took our checksum.
        None => ours.is_some() && tag == Some(&part.tag),
    };
    part.size == bytes && is_same
}

impl ObjectIntake {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upload, begun by whoever needs it first.
    fn upload(&self) -> Result<Upload> {
        let mut state = self.state();
        if let Some(upload) = &state.upload {
            return Ok(upload.clone());
        }
        let upload = self.store.begin(&self.key, &self.put)?;
        Ok(state.upload.insert(upload).clone())
    }

    fn index(&self, offset: u64) -> Result<u32> {
        let cut = self.cut();
        cut.index(offset).ok_or_else(|| cut.refusal(offset))
    }

    fn cut(&self) -> std::sync::MutexGuard<'_, Cut> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts in order, which must be all of `size` bytes.
    fn all(&self, state: &State, size: u64) -> Result<Vec<Part>> {
        let parts: Vec<Part> = state.parts.values().cloned().collect();
        let in_order = parts.iter().zip(0u32..).all(|(part, index)| part.index == index);
        let bytes: u64 = parts.iter().map(|part| part.size).sum();
        if !in_order || bytes != size {
            let message = "the parts that were sent are not the whole object";
            return Err(EngineError::new(Kind::Internal, message));
        }
        Ok(parts)
    }

    fn sealed(&self, size: u64, attributes: &Attributes, target: &Target) -> Result<Staged> {
        let mut state = self.state();
        // What was sent and then taken back lies behind the end.
        let parts = self.cut().count(size);
        state.parts.retain(|index, _| u64::from(*index) < parts);
        state.sums.retain(|index, _| u64::from(*index) < parts);
        let algorithm = self.rules.checksum;
        let held = state.held.take();
        let copied = state.copied.take();
        let (content, digest) = match (held, &state.upload) {
            (None, None) if copied.is_some() => match copied {
                Some(from) if from.object.size == size => (Sealed::Copied(from), None),
                _ => {
                    let message = "the object to be copied has another size";
                    return Err(EngineError::new(Kind::SourceChanged, message));
                }
            },
            (Some((bytes, digest)), _) if (*bytes).as_ref().len() as u64 == size => {
                (Sealed::Whole(bytes), whole(algorithm, digest))
            }
            (None, Some(upload)) => {
                let parts = self.all(&state, size)?;
                let sums: Vec<PartDigest> = state.sums.values().copied().collect();
                let all = sums.len() == parts.len();
                let sum = algorithm.filter(|_| all).and_then(|a| joined(a, &sums));
                let sum = sum.map(|value| PartDigest::Crc(value, size));
                // Of parts that the store copied, nothing else tells what they should be.
                let offered = state.offered.filter(|_| state.sums.is_empty());
                let digest = whole(algorithm, sum).or(offered);
                (Sealed::Parts(upload.clone(), parts), digest)
            }
            (None, None) if size == 0 => (Sealed::Whole(Box::new([0u8; 0])), None),
            _ => {
                let message = "another size was written than is sealed";
                return Err(EngineError::new(Kind::Internal, message));
            }
        };
        let mtime = if target.carry.times { attributes.mtime } else { Timestamp::default() };
        let put = Put { digest, ..self.put.clone() };
        let mut lost = self.lost.clone();
        if self.tagged && !matches!(content, Sealed::Copied(_)) {
            lose(&mut lost, Loss { what: What::Xattrs, call: "put", errno: None });
        }
        Ok(Staged {
            name: target.name.clone(),
            consent: target.consent,
            mark: Mark { ino: self.write, size, mtime, ..Mark::default() },
            lost,
            inner: Box::new(Sealing {
                key: self.key.clone(),
                content,
                put,
                write: self.write,
                resumes: self.resumes,
            }),
        })
    }

    fn give_up(&self) {
        let upload = self.state().upload.take();
        if let Some(upload) = upload {
            abandon(&*self.store, self.write, &upload, &self.left, &self.over);
        }
    }
}

impl Intake for ObjectIntake {
    fn write_at(&self, offset: u64, _bytes: &[u8]) -> Result<()> {
        let message = "objects are written in whole parts";
        Err(EngineError::new(Kind::Internal, message).offset(offset))
    }

    fn part_bytes(&self) -> Option<u64> {
        Some(self.cut().first())
    }

    fn longer(&self, offset: u64) -> Option<u64> {
        self.cut().wanted(offset)
    }

    fn lengthen(&self, offset: u64, length: u64) {
        self.cut().lengthen(offset, length);
    }

    fn part_digest(&self) -> Option<Algorithm> {
        self.rules.checksum
    }

    fn write_part(&self, offset: u64, bytes: &[u8], digest: Option<PartDigest>) -> Result<()> {
        let index = self.index(offset)?;
        let upload = self.upload()?;
        let sum = whole(self.rules.checksum, digest);
        let part = self.store.put_part(&upload, index, offset, bytes, sum)?;
        if let (Some(theirs), Some(ours)) = (part.digest, sum)
            && theirs != ours
        {
            let message = "the store took other bytes than were sent";
            return Err(EngineError::new(Kind::VerifyMismatch, message).offset(offset));
        }
        let mut state = self.state();
        state.parts.insert(index, part);
        state.sums.extend(digest.map(|digest| (index, digest)));
        Ok(())
    }

    fn doubles(&self) -> bool {
        self.store.rules().doubles
    }

    fn hold(&self, bytes: HeldBytes, digest: Option<PartDigest>) -> Result<()> {
        self.state().held = Some((bytes, digest));
        Ok(())
    }

    fn intent(&self) -> Option<Vec<u8>> {
        let upload = Upload { key: self.key.clone(), id: String::new() };
        Some(token_of(&*self.store, self.write, &upload))
    }

    fn token(&self) -> Result<Option<Vec<u8>>> {
        self.upload().map(|upload| Some(token_of(&*self.store, self.write, &upload)))
    }

    fn part_tag(&self, offset: u64) -> Option<String> {
        let index = self.index(offset).ok()?;
        self.state().parts.get(&index).map(|part| part.tag.clone()).filter(|tag| !tag.is_empty())
    }

    fn stands(
        &self,
        offset: u64,
        bytes: u64,
        digest: PartDigest,
        tag: Option<&str>,
    ) -> Result<Option<bool>> {
        let index = self.index(offset)?;
        let mut state = self.state();
        let ours = whole(self.rules.checksum, Some(digest));
        let stands = state.parts.get(&index).is_some_and(|part| is_that(part, bytes, ours, tag));
        if stands {
            state.sums.insert(index, digest);
        } else {
            state.parts.remove(&index);
        }
        Ok(Some(stands))
    }

    fn share(&self, from: &Handle) -> Result<bool> {
        let Some(from) = from.get::<From>() else {
            return Ok(false);
        };
        if from.store.service() != self.store.service() {
            return Ok(false);
        }
        match self.store.copying(&from, &self.key, &self.put.condition)? {
            Copying::Whole => self.state().copied = Some((*from).clone()),
            Copying::Parts => return Ok(false),
            Copying::Never => {
                let message = "the store does not copy the object by itself";
                return Err(EngineError::new(Kind::CopyDeclined, message));
            }
        }
        Ok(true)
    }

    fn clear(&self, offset: u64, _length: u64) -> Result<()> {
        let message = "objects have no holes";
        Err(EngineError::new(Kind::Internal, message).offset(offset))
    }

    fn reserve(&self, bytes: u64) -> Result<()> {
        if bytes > self.rules.object_bytes_max {
            let most = self.rules.object_bytes_max;
            let message = format!("the store holds no object of more than {most} bytes");
            return Err(EngineError::new(Kind::DestinationWrite, message));
        }
        Ok(())
    }

    fn offload(&self, from: &Handle, offset: u64, length: u64) -> Result<Option<u64>> {
        let Some(from) = from.get::<From>() else {
            return Ok(None);
        };
        if from.store.service() != self.store.service() {
            return Ok(None);
        }
        let (index, upload) = (self.index(offset)?, self.upload()?);
        let part = self.store.copy_part(&upload, index, &from, offset..offset + length)?;
        let offered = self.rules.checksum.and_then(|algorithm| {
            let known = from.object.digests.iter().find(|digest| digest.algorithm == algorithm);
            let value = u64::from_str_radix(&known?.hex, 16).ok()?;
            Some(Whole { algorithm, value })
        });
        Ok(part.map(|part| {
            let mut state = self.state();
            state.offered = offered;
            state.parts.insert(index, part);
            length
        }))
    }

    fn mark(&self) -> Result<Mark> {
        Ok(Mark::default())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn read_at(&self, _offset: u64, _buffer: &mut [u8], _device: bool) -> Result<usize> {
        let message = "an object cannot be read before it is published";
        Err(EngineError::new(Kind::Unsupported, message))
    }

    fn seal(
        self: Box<Self>,
        size: u64,
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged> {
        let sealed = self.sealed(size, attributes, target);
        if sealed.is_err() {
            self.give_up();
        }
        sealed
    }

    fn abort(self: Box<Self>) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_part_is_proven_by_its_checksum_or_else_by_its_tag() {
        let ours = Some(Whole { algorithm: Algorithm::Crc64Nvme, value: 7 });
        let other = Some(Whole { algorithm: Algorithm::Crc64Nvme, value: 8 });
        let part = |digest| Part { index: 0, size: 5, tag: "t".to_owned(), digest };
        assert!(is_that(&part(ours), 5, ours, None));
        assert!(!is_that(&part(ours), 6, ours, Some("t")));
        assert!(!is_that(&part(other), 5, ours, Some("t")));
        assert!(is_that(&part(None), 5, ours, Some("t")));
        assert!(!is_that(&part(None), 5, ours, Some("u")));
        assert!(!is_that(&part(None), 5, ours, None));
        assert!(!is_that(&part(None), 5, None, Some("t")));
    }
}
