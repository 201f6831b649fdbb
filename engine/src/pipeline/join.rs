//! The copier's dealing with files of several names: which name is copied, which one is joined to
//! it, and what happens where that cannot be.

use crate::endpoint::contract::{Again, Place, Target};
use crate::error::Result;
use crate::model::choice::{Consent, OnExists};
use crate::model::digest::Digest;
use crate::model::found::Found;
use crate::model::item::{Item, ItemKind};
use crate::model::loss::{Loss, What, lose};
use crate::model::path::{ItemPath, temp_name};
use crate::pipeline::compare::Standing;
use crate::pipeline::content::{self, ChunkBuffer, Reading};
use crate::pipeline::copy::{Copier, Made};
use crate::pipeline::links::{First, Turn};
use crate::progress::{Spent, add};

/// Where an item goes, and what stands there.
pub struct Spot<'a> {
    /// The directory.
    pub place: &'a Place,
    /// The name in it.
    pub target: &'a Target,
    /// What stands there.
    pub found: Option<&'a Found>,
}

/// Why an item stays as it stands.
pub enum Kept {
    /// It was done by an earlier attempt, with these digests.
    Before(Vec<Digest>),
    /// By rule; with what stands there, where that was read.
    ByRule(Option<Box<Standing>>),
}

/// What came of joining a name to the first one.
enum Joined {
    /// It is one more name.
    Made(Box<Made>),
    /// The first one takes no more names.
    Gone(Loss),
    /// The destination knows no further names.
    Unable(Loss),
}

/// The loss of a name that is not joined to its first one.
const SPLIT: Loss = Loss { what: What::HardLinks, call: "link", errno: None };

/// Where an item stands at the destination, beneath the root: what is coded has another name there.
fn landing(item: &Item, spot: &Spot<'_>) -> Result<ItemPath> {
    if item.path.is_root() { Ok(item.path.clone()) } else { item.path.sibling(&spot.target.name) }
}

impl Copier<'_> {
    /// Copies an item, or joins it to the first one of its names.
    pub(super) fn make(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        spot: &Spot<'_>,
    ) -> Result<Made> {
        let mut split = None;
        loop {
            match self.names.turn(item)? {
                Turn::Alone => return self.write(buffer, item, spot),
                Turn::First(claim) => {
                    let mut made = self.write(buffer, item, spot)?;
                    if let Made::Ready { staged, digests, .. } = &mut made {
                        split.into_iter().for_each(|loss| lose(&mut staged.lost, loss));
                        let temp = self.sink.temp_of(staged);
                        let first = First::new(item, temp, staged.mark, digests);
                        claim.stands(first.renamed(landing(item, spot)?))?;
                    }
                    return Ok(made);
                }
                Turn::Later(first) => match self.join(buffer, item, spot, &first)? {
                    Joined::Made(made) => return Ok(*made),
                    Joined::Gone(loss) => {
                        split = Some(loss);
                        self.names.forget(item, &first)?;
                    }
                    Joined::Unable(loss) => {
                        let mut made = self.write(buffer, item, spot)?;
                        if let Made::Ready { staged, .. } = &mut made {
                            lose(&mut staged.lost, loss);
                        }
                        return Ok(made);
                    }
                },
            }
        }
    }

    /// An item that stays as it stands: left alone by rule, or done by an earlier attempt. It may be
    /// the first of its names all the same; and with `update`, or after an attempt, one that is not
    /// joined to the names before it is not as it should be.
    pub(super) fn keep(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        spot: &Spot<'_>,
        kept: Kept,
    ) -> Result<Made> {
        // With `update` it stays because it was found to be the same.
        let updates = self.options.on_exists == OnExists::Update;
        let equal = |found: &Found| updates || self.rule.agrees(item, found);
        let before = matches!(kept, Kept::Before(_));
        let Some(found) = spot.found.filter(|found| before || equal(found)) else {
            return Ok(Made::Skipped);
        };
        let digests: &[Digest] = match &kept {
            Kept::Before(digests) => digests,
            Kept::ByRule(standing) => standing.as_ref().map_or(&[], |there| &there.digests),
        };
        let path = landing(item, spot)?;
        let standing = || First::new(item, Vec::new(), found.mark, digests).renamed(path.clone());
        if !before && !updates {
            self.names.offer(item, standing())?;
            return Ok(Made::Skipped);
        }
        let bytes = loop {
            match self.names.turn(item)? {
                Turn::Alone => break item.size,
                Turn::First(claim) => {
                    claim.stands(standing())?;
                    break item.size;
                }
                Turn::Later(first) if first.original.mark.is_same(&found.mark) => break 0,
                Turn::Later(first) => {
                    let target =
                        &Target { consent: Consent::Replace(found.mark), ..spot.target.clone() };
                    match self.join(buffer, item, &Spot { target, ..*spot }, &first)? {
                        Joined::Made(made) => return Ok(*made),
                        Joined::Gone(_) => self.names.forget(item, &first)?,
                        Joined::Unable(_) => break item.size,
                    }
                }
            }
        };
        Ok(match kept {
            Kept::Before(digests) => Made::Before { bytes, digests },
            Kept::ByRule(Some(standing)) => Made::Same(standing),
            Kept::ByRule(None) => Made::Skipped,
        })
    }

    /// Makes an item one more name of `first`.
    fn join(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        spot: &Spot<'_>,
        first: &First,
    ) -> Result<Joined> {
        if !first.fits(item) {
            return Ok(Joined::Gone(SPLIT));
        }
        let temp = temp_name(&self.job.name, self.job.next_temp());
        let again = || self.sink.again(spot.place, &temp, &first.original, spot.target);
        let staged = match self.job.progress.timed(Spent::DestinationWrite, again)? {
            Again::Made(staged) => *staged,
            Again::Gone(loss) => return Ok(Joined::Gone(loss)),
            Again::Unable(loss) => return Ok(Joined::Unable(loss)),
        };
        match self.digests(buffer, item, first) {
            Ok(Some(digests)) => {
                add(&self.job.progress.bytes_done, item.size);
                Ok(Joined::Made(Box::new(Made::Again { digests, staged })))
            }
            Ok(None) => {
                self.sink.discard(staged);
                Ok(Joined::Gone(SPLIT))
            }
            Err(error) => {
                self.sink.discard(staged);
                Err(error)
            }
        }
    }

    /// The digests of a file's further name: those of the first one, or where that was not copied
    /// by this job, of the source. `None` when it changes meanwhile.
    fn digests(
        &self,
        buffer: &mut ChunkBuffer,
        item: &Item,
        first: &First,
    ) -> Result<Option<Vec<Digest>>> {
        let algorithms = self.options.algorithm.as_slice();
        if item.kind != ItemKind::File || !first.digests.is_empty() || algorithms.is_empty() {
            return Ok(Some(first.digests.clone()));
        }
        let reader = self.job.progress.timed(Spent::SourceRead, || self.source.open(item))?;
        let path = item.path.as_bytes();
        let how = Reading { path, algorithms, holes: false };
        let read = content::read(self.job, &*reader, buffer, how, |_, _| Ok(()))?;
        Ok(read.whole.then_some(read.digests))
    }
}
