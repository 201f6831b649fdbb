//! What an endpoint promises: the byte lane's only traits.
//!
//! # Contract
//! - Calls block and run on worker threads; an endpoint that speaks to a network keeps its own
//!   runtime and blocks the caller once per call, not once per packet. All of it is `Sync`.
//! - A source never modifies anything, follows no link it was not told to follow, and opens
//!   nothing special. [`Reader::unchanged`] answers for the very thing that was read.
//! - A sink shows nothing under a final name before [`ObjectSink::publish`]; what stands there is
//!   replaced only with [`Consent::Replace`], and that is decided by the publishing step itself,
//!   not by an earlier look. A crash at any instant leaves old or new content under a name, whole.
//! - Whatever is not published is removed by [`Intake::abort`] or [`ObjectSink::discard`]; after a
//!   kill, its name tells which job it belonged to ([`crate::model::path::temp_tag`]).
//! - Errors carry what went wrong as the engine's [`Kind`](crate::error::Kind). A request to a
//!   service is sent again by `remote`, and by nobody else.

use std::any::Any;
use std::ops::Range;

use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Carry, Consent, Durable, LinkPolicy};
use crate::model::digest::{Algorithm, Digest};
use crate::model::extended::Extended;
use crate::model::found::{Found, Mark};
use crate::model::item::{Attributes, Handle, Identity, Item, ItemKind, Special, Timestamp};
use crate::model::loss::{Loss, What};
use crate::model::parts::PartDigest;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;

/// What an endpoint can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Its scheme.
    pub scheme: &'static str,
    /// Whether directories exist by themselves.
    pub directories: bool,
    /// Whether symbolic links exist.
    pub links: bool,
    /// Whether mode, owner and times can be set.
    pub attributes: bool,
    /// Whether any range of an item may be written at any time; otherwise whole parts are, each as
    /// long as [`Intake::part_bytes`] says, or the whole at once by [`Intake::hold`].
    pub random_writes: bool,
    /// Whether what was written can be read before it is published.
    pub reads_back: bool,
    /// Whether publishing many items in one call is cheaper than one by one.
    pub gathers: bool,
    /// Whether calls wait for a network: many of them at once pay.
    pub remote: bool,
    /// Whether a name can be published only if it is free, in one step.
    pub atomic_noreplace: bool,
    /// Step of modification times, nanoseconds.
    pub mtime_step_ns: u64,
    /// Whether a directory or prefix can be leased.
    pub leases: bool,
    /// Whether nobody can break a lease while a commit under it goes on.
    pub leases_hold: bool,
}

/// Whether a directory's entries are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descend {
    /// Go on into it.
    Into,
    /// Leave it out, with everything below.
    Skip,
}

/// Told what a survey finds: a directory before its entries, its entries, its end.
pub trait Visitor {
    /// A directory, the root's included where the source is one.
    ///
    /// # Errors
    /// Ends the survey.
    fn enter(&mut self, directory: Item) -> Result<Descend>;

    /// Anything else.
    ///
    /// # Errors
    /// Ends the survey.
    fn item(&mut self, item: Item) -> Result<()>;

    /// No more entries of the directory entered last and not left yet.
    ///
    /// # Errors
    /// Ends the survey.
    fn leave(&mut self) -> Result<()>;

    /// An entry that could not be looked at. The survey goes on.
    ///
    /// # Errors
    /// Ends the survey.
    fn failed(&mut self, path: &ItemPath, error: EngineError) -> Result<()>;
}

/// Gives bytes of named items.
pub trait ObjectSource: Send + Sync {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// Whether an item's content passes only while the survey tells of it, or costs reading
    /// everything before it again.
    fn in_order(&self) -> bool {
        false
    }

    /// Tells the visitor everything beneath the root that `selection` takes, in constant memory.
    ///
    /// # Errors
    /// What keeps the root itself from being read, and what the visitor answers.
    fn survey(
        &self,
        selection: &Selection,
        links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()>;

    /// The item of this name, links not followed; `None` where nothing stands.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn find(&self, path: &ItemPath) -> Result<Option<Item>>;

    /// Whether the root is one item and there are others beneath its name, which a survey leaves out.
    ///
    /// # Errors
    /// What keeps it from being told.
    fn hides_others(&self) -> Result<bool> {
        Ok(false)
    }

    /// What kind of thing a survey that treats links so meets at this name; a link that leads
    /// nowhere is one.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn kind(&self, path: &ItemPath, _links: LinkPolicy) -> Result<Option<ItemKind>> {
        self.find(path).map(|item| item.map(|item| item.kind))
    }

    /// Opens a file that a survey or `find` of this source gave, in the state that it has now.
    ///
    /// # Errors
    /// `SourceNotFound`, `SourcePermission`, `SourceChanged` when it is another kind of thing now.
    fn open(&self, item: &Item) -> Result<Box<dyn Reader>>;

    /// An item as it is told by a closer look, where a survey tells less of it than there is to
    /// know; `None` where it told all. Asked before times are compared.
    ///
    /// # Errors
    /// `SourceNotFound`, `SourceChanged`, what keeps it from being looked at.
    fn refine(&self, _item: &Item) -> Result<Option<Item>> {
        Ok(None)
    }

    /// Where its items are, for [`ObjectSink::copies`].
    fn home(&self) -> Handle {
        Handle::default()
    }

    /// A file of it for a destination that copies from here by itself, without the bytes passing
    /// here; `None` where it must be read.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn offer(&self, _item: &Item) -> Result<Option<Offer>> {
        Ok(None)
    }

    /// What hangs on an item that is not opened: a directory, a link, a special file. Of files it
    /// may be told before they are opened, for a plan.
    ///
    /// # Errors
    /// `SourceRead` and the like.
    fn extended(&self, _item: &Item, _carry: Carry) -> Result<Extended> {
        Ok(Extended::default())
    }
}

/// A file that its destination may copy by itself.
pub struct Offer {
    /// The file in the state that is offered.
    pub item: Item,
    /// What hangs on it.
    pub extended: Extended,
    /// Digests of its whole content that its store holds.
    pub digests: Vec<Digest>,
    /// For [`Intake::share`] and [`Intake::offload`].
    pub handle: Handle,
}

/// An open source file.
pub trait Reader: Send + Sync {
    /// Its size and attributes at opening; what a copy carries over.
    fn facts(&self) -> (u64, Attributes);

    /// Which state of it was opened: a survey may have seen an earlier one.
    fn identity(&self) -> Identity;

    /// What hangs on it, as far as it is carried over.
    ///
    /// # Errors
    /// `SourceRead`.
    fn extended(&self, _carry: Carry) -> Result<Extended> {
        Ok(Extended::default())
    }

    /// Digests of its whole content that its store holds, for what was read to be compared with.
    fn stored(&self) -> &[Digest] {
        &[]
    }

    /// Reads at `offset`; 0 only at the end, or where the state that was opened is gone and
    /// [`Reader::unchanged`] says so.
    ///
    /// # Errors
    /// `SourceRead`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Whether it can only be read once, from its start to its end.
    fn in_one(&self) -> bool {
        false
    }

    /// Somebody is about to read this range from its start to its end: so that it is asked for at
    /// once.
    fn expect(&self, _range: Range<u64>) {}

    /// Nobody reads from this range any more: what is under way of it is let go.
    fn leave(&self, _range: Range<u64>) {}

    /// The range of data, its end excluded, that begins at or after `offset`; `None` where only a
    /// hole is left. What cannot tell holes says that everything is data.
    ///
    /// # Errors
    /// `SourceRead`.
    fn data(&self, offset: u64) -> Result<Option<Range<u64>>>;

    /// The endpoint's own, for [`Intake::share`] and [`Intake::offload`].
    fn handle(&self) -> Handle;

    /// Whether it is still in the state it was opened in.
    ///
    /// # Errors
    /// `SourceRead` when that cannot be told.
    fn unchanged(&self) -> Result<bool>;
}

/// What an item will be once it is published, as far as that must be known before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Becoming<'a> {
    /// Under which name, and with what.
    pub target: &'a Target,
    /// Its attributes.
    pub attributes: &'a Attributes,
}

/// Bytes that are kept until they are published, with the memory they were granted.
pub type HeldBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// What is known about a file before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// About how many bytes.
    pub bytes: u64,
    /// Whether it may come to any other length.
    pub open: bool,
    /// Whether it has holes: what is not written stays one.
    pub sparse: bool,
    /// Whether it will be made durable, so that the device may begin at once.
    pub durable: bool,
    /// Whether it needs no temporary name: nobody goes on with it after a kill, nobody makes a
    /// further name of it, and it takes only a free one. Where the endpoint can, nothing is left
    /// of it when it dies.
    pub unnamed: bool,
    /// Permission bits it will get, as far as they are known.
    pub mode: u32,
    /// Whether the next attempt goes on with what was written where it is not published for a
    /// reason that passes: it is not removed then.
    pub resumes: bool,
    /// Whether the endpoint is to copy it by itself: its parts take no memory here.
    pub served: bool,
}

impl Shape {
    /// A file without holes.
    #[must_use]
    pub fn dense(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }
}

/// Under which name, and with what, an item is published.
#[derive(Clone, Debug)]
pub struct Target {
    /// The final name, one part.
    pub name: Vec<u8>,
    /// Whether something there may be replaced.
    pub consent: Consent,
    /// What is carried over.
    pub carry: Carry,
    /// Extended attributes and access lists of the source.
    pub extended: Extended,
}

impl Target {
    /// A name with this consent; nothing hangs on its item yet.
    #[must_use]
    pub fn new(name: &[u8], consent: Consent, carry: Carry) -> Self {
        Self { name: name.to_vec(), consent, carry, extended: Extended::default() }
    }

    /// The same name, with what hangs on its item.
    #[must_use]
    pub fn with(&self, extended: Extended) -> Self {
        Self { name: self.name.clone(), extended, ..*self }
    }
}

/// A directory of a sink: where items are begun.
#[derive(Clone, Debug)]
pub struct Place {
    /// The endpoint's own.
    pub handle: Handle,
    /// Whether this job made it, so that nothing can stand in it yet.
    pub made: bool,
    /// Its inode or the like; 0 where that means nothing.
    pub ino: u64,
    /// When it was made; 0 where that is not known.
    pub born: Timestamp,
}

/// Something written and complete, not yet visible.
pub struct Staged {
    /// The name to publish, one part.
    pub name: Vec<u8>,
    /// Whether something there may be replaced.
    pub consent: Consent,
    /// Identifies it now, and still after publication.
    pub mark: Mark,
    /// What was to be carried over and could not be.
    pub lost: Vec<Loss>,
    /// The endpoint's own.
    pub inner: Box<dyn Any + Send>,
}

/// The refusal to replace what is not what was seen.
#[must_use]
pub fn destination_changed() -> EngineError {
    let message = "what stands at the destination changed since it was looked at";
    EngineError::new(Kind::DestinationChanged, message)
}

/// An item of this job that a name more may be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its name beneath the sink's root.
    pub path: ItemPath,
    /// Its name until it is published, in the same directory; empty where it stands already.
    pub temp: Vec<u8>,
    /// Identifies it.
    pub mark: Mark,
}

/// What came of making one more name.
pub enum Again {
    /// Complete, to be published.
    Made(Box<Staged>),
    /// The original takes no more names, or is not there any more: another one must take its place.
    Gone(Loss),
    /// The sink knows no further names: each item is written by itself.
    Unable(Loss),
}

/// One small record beside a destination's items, changed only by who knows its last state: what a
/// lease is kept in. Files do it by locks, object stores by conditional writes.
pub trait LeaseCell: Send + Sync {
    /// The record; `None` where there is none.
    ///
    /// # Errors
    /// What keeps it from being read.
    fn read(&self) -> Result<Option<Vec<u8>>>;

    /// Puts `new` in the place of `expected`, in one step; `None` stands for no record. False when
    /// something else stands there, or when somebody is changing it or committing under it now.
    ///
    /// # Errors
    /// What keeps it from being written.
    fn swap(&self, expected: Option<&[u8]>, new: Option<&[u8]>) -> Result<bool>;

    /// As [`LeaseCell::swap`], for the holder: commits of its own do not stand in the way.
    ///
    /// # Errors
    /// As [`LeaseCell::swap`].
    fn renew(&self, expected: &[u8], new: &[u8]) -> Result<bool>;

    /// If the record is `ours`, keeps everybody else from swapping it until the answer is dropped.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn hold(&self, ours: &dyn Fn(&[u8]) -> bool) -> Result<Option<Held>>;
}

/// A record that nobody can swap while this exists.
pub type Held = Box<dyn Any + Send>;

/// Told the name of an entry, and its kind where that is known; its error ends the listing.
pub type EachEntry<'a> = dyn FnMut(&[u8], Option<ItemKind>) -> Result<()> + 'a;

/// As [`EachEntry`], also told which thing it is where the listing tells enough of it to remove
/// that thing alone.
pub type EachMarked<'a> = dyn FnMut(&[u8], (Option<ItemKind>, Option<Mark>)) -> Result<()> + 'a;

/// A thing that is to go.
#[derive(Clone, Copy)]
pub struct Doomed<'a> {
    /// Where it stands.
    pub place: &'a Place,
    /// Its name there.
    pub name: &'a [u8],
    /// What it is.
    pub kind: ItemKind,
    /// As it was found.
    pub seen: &'a Mark,
}

/// Takes bytes of named items.
pub trait ObjectSink: Send + Sync {
    /// What it can do.
    fn caps(&self) -> Caps;

    /// The place that the root's own name lies in, for a source that is one file or link. Missing
    /// parents are made. With it comes the name.
    ///
    /// # Errors
    /// `DestinationPermission`, `DestinationType`, `DestinationNoSpace`, …
    fn root_place(&self) -> Result<(Place, Vec<u8>)>;

    /// The root as a directory, made where it is absent, parents too.
    ///
    /// # Errors
    /// As [`ObjectSink::root_place`].
    fn root_directory(&self) -> Result<Place>;

    /// The directory `name` in `place`, made where it is absent, never through a link.
    ///
    /// # Errors
    /// `DestinationType` when another kind of thing has that name.
    fn enter(&self, place: &Place, name: &[u8]) -> Result<Place>;

    /// As [`ObjectSink::enter`], for a source whose directories are only what names of items begin
    /// with: where that is so here too, a thing of that name stands beside what begins so.
    ///
    /// # Errors
    /// As [`ObjectSink::enter`].
    fn enter_prefix(&self, place: &Place, name: &[u8]) -> Result<Place> {
        self.enter(place, name)
    }

    /// What stands at `name`; `None` for nothing.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn found(&self, place: &Place, name: &[u8]) -> Result<Option<Found>>;

    /// Begins a file under the temporary name `temp`.
    ///
    /// # Errors
    /// `DestinationPermission`, `DestinationNoSpace`, …
    fn begin(
        &self,
        place: &Place,
        temp: &[u8],
        shape: Shape,
        becoming: Becoming<'_>,
    ) -> Result<Box<dyn Intake>>;

    /// Whether it can copy by itself from where a source's items are ([`ObjectSource::home`]). An
    /// item that it declines when it is published (`CopyDeclined`) is to be read and written.
    fn copies(&self, _from: &Handle) -> bool {
        false
    }

    /// The length of the parts of an item of so many bytes, where whole parts are written; the
    /// same each time. No bytes: that of the first parts of one whose length is not known.
    fn part_bytes(&self, _bytes: u64) -> Option<u64> {
        None
    }

    /// Goes on with a file that a dead job began as `old` (its [`Intake::token`] where it had one)
    /// and that `mark` identifies, from now on named `temp`; `None` when it is not there any more,
    /// or another.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn adopt(
        &self,
        place: &Place,
        old: &[u8],
        temp: &[u8],
        mark: Mark,
        shape: Shape,
        becoming: Becoming<'_>,
    ) -> Result<Option<Box<dyn Intake>>>;

    /// Makes a link under the temporary name `temp`, complete.
    ///
    /// # Errors
    /// `Unsupported` where the endpoint knows no links.
    fn link(
        &self,
        place: &Place,
        temp: &[u8],
        text: &[u8],
        attributes: &Attributes,
        target: &Target,
    ) -> Result<Staged>;

    /// Makes a fifo, socket or device under the temporary name `temp`, complete.
    ///
    /// # Errors
    /// `Unsupported` where the endpoint knows none, `DestinationPermission` for a device without
    /// privilege.
    fn special(
        &self,
        _place: &Place,
        _temp: &[u8],
        _special: Special,
        _attributes: &Attributes,
        _target: &Target,
    ) -> Result<Staged> {
        let message = "the destination knows no special files";
        Err(EngineError::new(Kind::Unsupported, message))
    }

    /// Makes `temp` one more name of an item of this sink, published or not.
    ///
    /// # Errors
    /// As [`ObjectSink::link`]. A sink that cannot, or an original that is not there any more, is
    /// no error.
    fn again(
        &self,
        _place: &Place,
        _temp: &[u8],
        _original: &Original,
        _target: &Target,
    ) -> Result<Again> {
        Ok(Again::Unable(Loss { what: What::HardLinks, call: "link", errno: None }))
    }

    /// The temporary name that a written item has until it is published; empty for none.
    fn temp_of(&self, _staged: &Staged) -> Vec<u8> {
        Vec::new()
    }

    /// Makes a batch visible, each under its name, and as durable as asked; one answer for each,
    /// in order. Data is durable before its name, names before the answer. What is refused is
    /// removed, but for what [`Shape::resumes`] keeps.
    fn publish(&self, batch: Vec<Staged>, durable: Durable) -> Vec<Result<()>>;

    /// Removes what will not be published. Best effort: what stays is found by its name.
    fn discard(&self, staged: Staged);

    /// Sets a directory's own attributes, after everything in it is published. Returns those that
    /// could not be kept.
    ///
    /// # Errors
    /// `DestinationWrite`.
    fn leave(
        &self,
        place: &Place,
        attributes: &Attributes,
        extended: &Extended,
        carry: Carry,
    ) -> Result<Vec<Loss>>;

    /// The root, if it stands there as a directory; nothing is made.
    ///
    /// # Errors
    /// What keeps it from being opened.
    fn standing(&self) -> Result<Option<Place>>;

    /// The directory `name` in `place`, if it stands there: never made, never through a link. One
    /// that something is mounted on is not the destination's, and not given.
    ///
    /// # Errors
    /// What keeps it from being opened.
    fn inside(&self, place: &Place, name: &[u8]) -> Result<Option<Place>>;

    /// Tells the name of each entry of `place`, with its kind where that costs nothing.
    ///
    /// # Errors
    /// What keeps it from being listed to its end, and what `each` answers.
    fn list(&self, place: &Place, each: &mut EachEntry<'_>) -> Result<()>;

    /// As [`ObjectSink::list`], with marks for [`ObjectSink::remove`] where they cost nothing.
    ///
    /// # Errors
    /// As [`ObjectSink::list`].
    fn list_marked(&self, place: &Place, each: &mut EachMarked<'_>) -> Result<()> {
        self.list(place, &mut |name, kind| each(name, (kind, None)))
    }

    /// Whether the entry of this name goes by other spellings too: the directory folds case, so
    /// that a name which the source lacks may be the twin of one that it has.
    fn folds(&self, _place: &Place, _name: &[u8]) -> bool {
        false
    }

    /// Removes the thing of this kind and mark, a directory only once it is empty. False when it
    /// is gone, is not empty, or another thing stands there now: that one stays.
    ///
    /// # Errors
    /// `DestinationPermission`, `DestinationReadOnly`, …
    fn remove(&self, place: &Place, name: &[u8], kind: ItemKind, seen: &Mark) -> Result<bool>;

    /// Most things beneath `root` that [`ObjectSink::remove_many`] takes together, so that it is
    /// worth it.
    ///
    /// # Errors
    /// What keeps it from being found out.
    fn removes_at_once(&self, _root: &Place) -> Result<usize> {
        Ok(1)
    }

    /// Removes things as [`ObjectSink::remove`] does. The outcome of each, in order.
    fn remove_many(&self, doomed: &[Doomed<'_>]) -> Vec<Result<bool>> {
        let remove = |it: &Doomed<'_>| self.remove(it.place, it.name, it.kind, it.seen);
        doomed.iter().map(remove).collect()
    }

    /// The record of the lease on `place`.
    ///
    /// # Errors
    /// `Unsupported` where [`Caps::leases`] says so.
    fn lease(&self, place: &Place) -> Result<Box<dyn LeaseCell>>;

    /// Makes everything durable that publications did not cover: attributes of directories and
    /// directories without items.
    ///
    /// # Errors
    /// `DestinationWrite`.
    fn settle(&self) -> Result<()>;
}

/// A file being written.
pub trait Intake: Send + Sync {
    /// Writes at `offset`; the same range may be written again.
    ///
    /// # Errors
    /// `DestinationWrite`, `DestinationNoSpace`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// The length of all its parts but the last, bytes, where whole parts are written; that of the
    /// first ones where its [shape](Shape::open) is open.
    fn part_bytes(&self) -> Option<u64> {
        None
    }

    /// How long its parts from `offset` on should be, where they should be longer than those before
    /// so that they do not become too many. They stay as they are without [`Intake::lengthen`].
    fn longer(&self, _offset: u64) -> Option<u64> {
        None
    }

    /// Its parts from `offset` on are written, or written again, with a length that
    /// [`Intake::longer`] said.
    fn lengthen(&self, _offset: u64, _length: u64) {}

    /// The checksum of each part that the destination checks itself.
    fn part_digest(&self) -> Option<Algorithm> {
        None
    }

    /// Writes a whole part, whose checksum is known where [`Intake::part_digest`] asked for it. The
    /// same part may be written again.
    ///
    /// # Errors
    /// As [`Intake::write_at`].
    fn write_part(&self, offset: u64, bytes: &[u8], _digest: Option<PartDigest>) -> Result<()> {
        self.write_at(offset, bytes)
    }

    /// Whether a part may be written while the same bytes are on their way as the same part, and
    /// the one or the other may come last.
    fn doubles(&self) -> bool {
        false
    }

    /// Writing may go back to `offset`, which is where it goes on now; what is before will not be
    /// written again. Asked of what is written in order.
    fn pin(&self, _offset: u64) {}

    /// Takes the whole content at once, and keeps it until it is published.
    ///
    /// # Errors
    /// As [`Intake::write_at`].
    fn hold(&self, bytes: HeldBytes, _digest: Option<PartDigest>) -> Result<()> {
        self.write_at(0, (*bytes).as_ref())
    }

    /// What it is found by where a kill falls between its beginning and the record of its token.
    /// To be recorded before [`Intake::token`] is asked.
    fn intent(&self) -> Option<Vec<u8>> {
        None
    }

    /// Its own name for [`ObjectSink::adopt`] and for clean-up after a kill, where that is not its
    /// temporary name. To be recorded before the first part is written.
    ///
    /// # Errors
    /// What keeps it from being begun.
    fn token(&self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// What the destination named the part at this offset when it took it; goes into its receipt.
    fn part_tag(&self, _offset: u64) -> Option<String> {
        None
    }

    /// Whether this part stands there as an earlier attempt wrote it, by the destination's own
    /// checksum, or where it tells none by the tag of its receipt; `None` where it must be read
    /// back to tell.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    fn stands(
        &self,
        _offset: u64,
        _bytes: u64,
        _digest: PartDigest,
        _tag: Option<&str>,
    ) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Takes the whole content of a reader by sharing its storage; false where that cannot be,
    /// and nothing is changed then.
    ///
    /// # Errors
    /// `CopyDeclined` where no range can be had by [`Intake::offload`] either,
    /// `DestinationWrite`, `DestinationNoSpace`.
    fn share(&self, from: &Handle) -> Result<bool>;

    /// Makes a range zero, whatever an earlier attempt or somebody else wrote there.
    ///
    /// # Errors
    /// `DestinationWrite`, `DestinationNoSpace`.
    fn clear(&self, offset: u64, length: u64) -> Result<()>;

    /// Reserves storage for so many bytes, where that is known to serve: one without room is told
    /// before anything is written.
    ///
    /// # Errors
    /// `DestinationNoSpace`.
    fn reserve(&self, bytes: u64) -> Result<()>;

    /// Has the storage itself copy a range from a reader; how many bytes it took, at most
    /// `length`. `None` where that cannot be, or is no faster than reading and writing.
    ///
    /// # Errors
    /// `SourceRead`, `DestinationWrite`, `DestinationNoSpace`.
    fn offload(&self, from: &Handle, offset: u64, length: u64) -> Result<Option<u64>>;

    /// What identifies it while it is written: for [`ObjectSink::adopt`].
    ///
    /// # Errors
    /// `DestinationWrite`.
    fn mark(&self) -> Result<Mark>;

    /// Makes what was written so far durable.
    ///
    /// # Errors
    /// `DestinationWrite`; nothing of it may be trusted then.
    fn sync(&self) -> Result<()>;

    /// Reads what was written at `offset`: from the device where `device` is set, after
    /// [`Intake::sync`]. 0 only at the end.
    ///
    /// # Errors
    /// `DestinationWrite`; `Unsupported` where nothing can be read back before publication.
    fn read_at(&self, offset: u64, buffer: &mut [u8], device: bool) -> Result<usize>;

    /// Completes it with its attributes.
    ///
    /// # Errors
    /// `DestinationWrite`; the partial file is removed.
    fn seal(self: Box<Self>, size: u64, attributes: &Attributes, target: &Target)
    -> Result<Staged>;

    /// Removes it.
    fn abort(self: Box<Self>);
}
