//! An archive as a source of items.

use std::sync::Arc;

use crate::archive::digested::Content;
use crate::archive::frames::{Frames, table};
use crate::archive::index::{Index, IndexScan};
use crate::archive::member::{self, Member};
use crate::archive::names::item_path;
use crate::archive::plain::{Bytes, Pass, Plain};
use crate::archive::scan::{Scan, agree};
use crate::archive::stream::Stream;
use crate::archive::walk::Walk;
use crate::codec::{Caps, Codec};
use crate::endpoint::contract::{Caps as Abilities, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::journal::state::StateDir;
use crate::model::choice::LinkPolicy;
use crate::model::item::{Attributes, Handle, Identity, Item, ItemKind, Special};
use crate::model::path::ItemPath;
use crate::model::selection::Selection;

const ABILITIES: Abilities = Abilities {
    scheme: "archive",
    directories: true,
    links: true,
    attributes: true,
    random_writes: false,
    reads_back: false,
    gathers: false,
    remote: false,
    atomic_noreplace: false,
    mtime_step_ns: 1,
    leases: false,
    leases_hold: false,
};

/// How an archive is opened.
pub struct Opening<'a> {
    /// Its form; `None` for a plain tar.
    pub codec: Option<&'static Codec>,
    /// What it may give at most.
    pub caps: Caps,
    /// Decoded frames that are kept at most.
    pub frames_kept: usize,
    /// Memory that tables of its frames may take, bytes; with more frames it is read in order.
    pub table_bytes: u64,
    /// Memory that a decoder of a form without frames may take.
    pub stream_bytes: u64,
    /// Asked before each member.
    pub pass: Pass<'a>,
    /// Takes the names of members that memory does not hold.
    pub disk: Option<&'a StateDir>,
    /// Opens the file, each time anew.
    pub open: &'a dyn Fn() -> Result<Box<dyn Reader>>,
}

/// A tar, however it is stored, as a source.
pub struct ArchiveSource<'a> {
    plain: Arc<dyn Plain>,
    /// The file itself, for its index.
    file: Box<dyn Reader>,
    index: Option<(Index, &'static Codec)>,
    caps: Caps,
    pass: Pass<'a>,
    disk: Option<&'a StateDir>,
    /// What implied directories look like.
    attributes: Attributes,
    identity: Identity,
}

impl<'a> ArchiveSource<'a> {
    /// Opens an archive; `identity` is its file's.
    ///
    /// # Errors
    /// Those of the reader, `SourceCorrupt`, `OutputLimit`.
    pub fn open(opening: &Opening<'a>, identity: Identity) -> Result<Self> {
        let file = (opening.open)()?;
        let (_, attributes) = file.facts();
        let mut index = None;
        let plain: Arc<dyn Plain> = match opening.codec {
            None => Arc::new(Bytes((opening.open)()?)),
            Some(codec) => match table(&*file, codec, opening.table_bytes)? {
                None => {
                    let reader = (opening.open)()?;
                    Arc::new(Stream::new(reader, codec, opening.caps, opening.stream_bytes))
                }
                Some(frames) => {
                    index = Index::find(&*file, &frames)?.map(|index| (index, codec));
                    let (kept, caps) = (opening.frames_kept, opening.caps);
                    Arc::new(Frames::new((opening.open)()?, codec, &frames, kept, caps)?)
                }
            },
        };
        let attributes = Attributes { mode: 0o755, links: 1, ..attributes };
        let Opening { caps, pass, disk, .. } = *opening;
        Ok(Self { plain, file, index, caps, pass, disk, attributes, identity })
    }

    /// Whether members are found by an index.
    #[must_use]
    pub fn is_indexed(&self) -> bool {
        self.index.is_some()
    }

    /// Gives every member to `each` until it answers false.
    fn members(&self, mut each: impl FnMut(Member) -> Result<bool>) -> Result<()> {
        match &self.index {
            Some((index, codec)) => {
                let mut scan = IndexScan::new(&*self.file, codec, index, self.caps)?;
                while let Some(member) = scan.next()? {
                    (self.pass)()?;
                    if !each(member)? {
                        break;
                    }
                }
            }
            None => {
                let mut scan = Scan::new(&*self.plain, self.pass, self.disk);
                while let Some(member) = scan.next()? {
                    if !each(member)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn item(&self, path: ItemPath, member: Member) -> Item {
        let entry = &member.entry;
        let (kind, link, special) = match &entry.kind {
            member::Kind::File | member::Kind::Hard(_) => (ItemKind::File, None, None),
            member::Kind::Directory => (ItemKind::Directory, None, None),
            member::Kind::Symlink(text) => (ItemKind::Symlink, Some(text.clone()), None),
            member::Kind::Fifo => (ItemKind::Special, None, Some(Special::Fifo)),
            member::Kind::Characters(number) => {
                (ItemKind::Special, None, Some(Special::Characters(*number)))
            }
            member::Kind::Blocks(number) => {
                (ItemKind::Special, None, Some(Special::Blocks(*number)))
            }
        };
        let attributes = Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            atime: entry.mtime,
            links: member.links,
            allocated: entry.size,
        };
        // Members of one content have one identity: names of one file.
        let ino = if kind == ItemKind::File { member.data } else { 0 };
        let identity = Identity { ino, ..self.identity };
        let size = if kind == ItemKind::File { entry.size } else { 0 };
        let handle = Handle::new(Arc::new(member));
        Item { path, kind, size, attributes, identity, link, special, handle }
    }

    fn implied(&self, path: ItemPath) -> Item {
        Item {
            path,
            kind: ItemKind::Directory,
            size: 0,
            attributes: self.attributes,
            identity: self.identity,
            link: None,
            special: None,
            handle: Handle::default(),
        }
    }
}

/// Why a member is no item.
fn refused(member: &Member) -> Option<EngineError> {
    let message = match member.entry.kind {
        member::Kind::Characters(_) | member::Kind::Blocks(_) => {
            let message = "a device is not made from an archive";
            return Some(EngineError::new(Kind::SourceSpecial, message));
        }
        _ => member.refused?,
    };
    Some(EngineError::new(Kind::Unsupported, message))
}

impl ObjectSource for ArchiveSource<'_> {
    fn caps(&self) -> Abilities {
        ABILITIES
    }

    fn in_order(&self) -> bool {
        self.plain.in_order()
    }

    fn survey(
        &self,
        selection: &Selection,
        _links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let implied = |path| self.implied(path);
        let mut visitor = Some(visitor);
        let mut walk: Option<Walk<'_>> = None;
        let (stored, _) = self.file.facts();
        let mut given = 0u64;
        self.members(|member| {
            let path = item_path(&member.entry.path);
            if let Some(visitor) = visitor.take() {
                let root = match &path {
                    Ok(path) if path.is_root() => self.item(path.clone(), member.clone()),
                    _ => self.implied(ItemPath::root()),
                };
                walk = Some(Walk::begin(visitor, &implied, root)?);
            }
            let Some(walk) = &mut walk else {
                return Ok(false);
            };
            let shown = member.entry.path.clone();
            let path = match path {
                Ok(path) => path,
                Err(error) => {
                    walk.failed(&ItemPath::root(), error.at(shown))?;
                    return Ok(true);
                }
            };
            if member.entry.kind == member::Kind::Directory {
                if !selection.excludes(&path) {
                    walk.directory(self.item(path, member))?;
                }
            } else if selection.takes(&path) {
                match refused(&member) {
                    Some(error) => walk.failed(&path, error)?,
                    None => {
                        given = given.saturating_add(member.entry.size);
                        self.caps.check(stored, given)?;
                        walk.item(self.item(path, member))?;
                    }
                }
            }
            Ok(true)
        })?;
        match (walk, visitor) {
            (Some(walk), _) => walk.end(),
            (None, Some(visitor)) => {
                Walk::begin(visitor, &implied, self.implied(ItemPath::root()))?.end()
            }
            (None, None) => Ok(()),
        }
    }

    fn find(&self, path: &ItemPath) -> Result<Option<Item>> {
        if path.is_root() {
            return Ok(Some(self.implied(ItemPath::root())));
        }
        let mut found = None;
        self.members(|member| {
            let same = item_path(&member.entry.path).is_ok_and(|other| other == *path);
            if same && refused(&member).is_none() {
                found = Some(self.item(path.clone(), member));
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    fn open(&self, item: &Item) -> Result<Box<dyn Reader>> {
        let Some(member) = item.handle.get::<Member>() else {
            return Err(EngineError::new(Kind::Internal, "the item belongs to another endpoint"));
        };
        let (plain, size) = (Arc::clone(&self.plain), member.entry.size);
        if self.index.is_some() {
            agree(&*plain, &member)?;
        }
        Ok(Box::new(Content::new(plain, member.data, size, item.attributes, member.crc)))
    }
}
