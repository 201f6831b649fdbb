//! Reading the local filesystem: a depth-first walk by handles, one open directory per level.

use std::sync::Arc;

use rustix::io::Errno;

use crate::endpoint::contract::{Caps, Descend, ObjectSource, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::{Carry, LinkPolicy};
use crate::model::extended::Extended;
use crate::model::item::{Attributes, Handle, Item, ItemKind};
use crate::model::location::Location;
use crate::model::path::ItemPath;
use crate::model::selection::Selection;
use crate::platform::dir::{self, Dir, Facts};
use crate::platform::hold::Hold;
use crate::platform::names::{NameList, Names};
use crate::platform::{operator, process};

use super::reader::LocalReader;
use super::{CAPS, error, times, xattrs};

/// A local file, link or directory as a source.
#[derive(Debug)]
pub struct LocalSource {
    /// The directory that holds the root's entry, and its name there; for `/` and the like the
    /// directory itself and `.`.
    parent: Arc<Dir>,
    name: Vec<u8>,
    /// The root, where it is a directory.
    root: Option<Arc<Dir>>,
}

impl LocalSource {
    /// Opens the root. A link given without a slash at its end is the link itself.
    ///
    /// # Errors
    /// `SourceNotFound`, `SourcePermission`, …
    pub fn open(location: &Location) -> Result<Self> {
        let failed = |call| move |errno| error::source(call, errno).at(location.path.clone());
        let (parent, name) = match operator::split(&location.path) {
            Some((dir, name)) => (operator::open_dir(dir).map_err(failed("open"))?, name.to_vec()),
            None => (operator::open_dir(&location.path).map_err(failed("open"))?, b".".to_vec()),
        };
        let facts = parent.facts(&name).map_err(failed("stat"))?;
        let root = match facts.kind {
            ItemKind::Directory => Some(parent.open_dir(&name).map_err(failed("open"))?),
            ItemKind::Symlink if location.is_into() => {
                Some(operator::open_dir(&location.path).map_err(failed("open"))?)
            }
            _ => None,
        };
        Ok(Self { parent: Arc::new(parent), name, root: root.map(Arc::new) })
    }

    fn root_item(&self) -> Result<Item> {
        let failed = |errno| error::source("stat", errno).at(self.name.clone());
        let facts = match &self.root {
            Some(root) => root.own_facts(),
            None => self.parent.facts(&self.name),
        };
        let facts = facts.map_err(failed)?;
        let entry = Entry {
            dir: Arc::clone(&self.parent),
            name: self.name.clone(),
            reach: self.root.clone().map_or(Reach::Itself, Reach::Opened),
        };
        item(ItemPath::root(), facts, entry)
    }
}

/// How an item is reached again: from its directory and its name there.
#[derive(Debug)]
struct Entry {
    dir: Arc<Dir>,
    name: Vec<u8>,
    reach: Reach,
}

/// What the name of an item leads to.
#[derive(Debug)]
enum Reach {
    /// It is the item.
    Itself,
    /// A directory that is open already, as every one is that a walk is in.
    Opened(Arc<Dir>),
    /// It is a link, followed beneath this root to the item of this name.
    Beneath(Arc<Dir>, ItemPath),
    /// It is a link, followed wherever it leads: the operator named it.
    Anywhere,
}

fn item(path: ItemPath, facts: Facts, entry: Entry) -> Result<Item> {
    let link = match facts.kind {
        ItemKind::Symlink => {
            let text = entry.dir.read_link(&entry.name);
            Some(text.map_err(|errno| error::source("readlink", errno).at(path.as_bytes()))?)
        }
        _ => None,
    };
    Ok(Item {
        path,
        kind: facts.kind,
        size: facts.size,
        attributes: facts.attributes,
        identity: facts.identity,
        link,
        special: facts.special,
        handle: Handle::new(Arc::new(entry)),
    })
}

impl ObjectSource for LocalSource {
    fn caps(&self) -> Caps {
        let dir = self.root.as_ref().unwrap_or(&self.parent);
        Caps { mtime_step_ns: times::step_ns(dir), ..CAPS }
    }

    fn survey(
        &self,
        selection: &Selection,
        links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        let root_item = self.root_item()?;
        let Some(root) = &self.root else {
            return self.survey_single(root_item, links, visitor);
        };
        let above = vec![(root_item.identity.dev, root_item.identity.ino)];
        if visitor.enter(root_item)? == Descend::Skip {
            return Ok(());
        }
        let names = Names::default();
        let mut walk = Walk { root, selection, links, visitor, above, names };
        walk.directory(root, &ItemPath::root())?;
        walk.visitor.leave()
    }

    fn find(&self, path: &ItemPath) -> Result<Option<Item>> {
        if path.is_root() {
            return self.root_item().map(Some);
        }
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let name = path.name();
        let failed = |errno| error::source("stat", errno).at(path.as_bytes());
        let dir = match root.open_dir_beneath(&path.parent()) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        match dir.facts(name) {
            Ok(facts) => {
                let entry = Entry { dir: Arc::new(dir), name: name.to_vec(), reach: Reach::Itself };
                item(path.clone(), facts, entry).map(Some)
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn kind(&self, path: &ItemPath, links: LinkPolicy) -> Result<Option<ItemKind>> {
        let (Some(root), LinkPolicy::Follow, false) = (&self.root, links, path.is_root()) else {
            return self.find(path).map(|item| item.map(|item| item.kind));
        };
        let parent = path.parent();
        if let Ok(facts) = root.follow_facts(path) {
            return Ok(Some(facts.kind));
        }
        // Nothing, or a link that leads nowhere.
        let opened = if parent.is_root() { root.open_dir(b".") } else { root.follow_dir(&parent) };
        match opened.and_then(|dir| dir.facts(path.name())) {
            Ok(facts) => Ok(Some(facts.kind)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
            Err(errno) => Err(error::source("stat", errno).at(path.as_bytes())),
        }
    }

    fn open(&self, item: &Item) -> Result<Box<dyn Reader>> {
        let failed = |errno| error::source("open", errno).at(item.path.as_bytes());
        let Some(entry) = item.handle.get::<Entry>() else {
            return Err(EngineError::new(Kind::Internal, "the item belongs to another endpoint"));
        };
        let file = match &entry.reach {
            Reach::Beneath(root, path) => root.follow_file(path),
            Reach::Anywhere => entry.dir.open_file_beyond(&entry.name),
            Reach::Itself | Reach::Opened(_) => entry.dir.open_file(&entry.name),
        };
        let file = file.map_err(|errno| match errno {
            Errno::LOOP | Errno::NXIO if matches!(entry.reach, Reach::Itself) => changed(),
            other => failed(other),
        })?;
        let facts = dir::facts(&file).map_err(failed)?;
        if facts.kind != ItemKind::File {
            return Err(changed());
        }
        Ok(Box::new(LocalReader::new(file, facts)))
    }

    fn extended(&self, item: &Item, carry: Carry) -> Result<Extended> {
        let Some(entry) = item.handle.get::<Entry>() else {
            return Err(EngineError::new(Kind::Internal, "the item belongs to another endpoint"));
        };
        match &entry.reach {
            Reach::Opened(dir) => xattrs::read(Hold::open(dir), carry),
            // What links can have belongs to the privileged.
            Reach::Itself if item.kind == ItemKind::Symlink && !process::is_root() => {
                Ok(Extended::default())
            }
            Reach::Itself => xattrs::read(Hold::Entry(&entry.dir, &entry.name), carry),
            Reach::Beneath(..) | Reach::Anywhere => self.open(item)?.extended(carry),
        }
    }
}

fn changed() -> EngineError {
    EngineError::new(Kind::SourceChanged, "the source became another kind of thing")
}

impl LocalSource {
    /// A root that is no directory: itself, or what it leads to.
    fn survey_single(
        &self,
        root: Item,
        links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        if root.kind != ItemKind::Symlink || links == LinkPolicy::Preserve {
            return visitor.item(root);
        }
        let failed = |errno| error::source("open", errno).at(self.name.clone());
        let facts = self.parent.facts_beyond(&self.name).map_err(failed)?;
        if facts.kind == ItemKind::Directory {
            let hint = "end the source with a slash to copy the directory that the link names";
            let message = "the source is a link to a directory";
            return Err(EngineError::new(Kind::SourceLink, message).hint(hint));
        }
        let reach = Reach::Anywhere;
        let entry = Entry { dir: Arc::clone(&self.parent), name: self.name.clone(), reach };
        visitor.item(item(ItemPath::root(), facts, entry)?)
    }
}

struct Walk<'a> {
    root: &'a Arc<Dir>,
    selection: &'a Selection,
    links: LinkPolicy,
    visitor: &'a mut dyn Visitor,
    /// Device and inode of the directories now open, to see a circle of followed links.
    above: Vec<(u64, u64)>,
    /// Directories to go into after the listings that named them; marked are those that a followed
    /// link leads to.
    names: Names,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Arc<Dir>, path: &ItemPath) -> Result<()> {
        let mut below = self.names.list();
        let mut ended = Ok(());
        let listed = dir.each_entry(|name, kind| {
            ended = self.entry(dir, path, name, kind, &mut below);
            ended.is_ok()
        });
        ended?;
        if let Err(errno) = listed {
            self.visitor.failed(path, error::source("getdents", errno))?;
        }
        while let Some((name, followed)) = below.take()? {
            let child = match path.join(&name) {
                Ok(child) => child,
                Err(error) => {
                    self.visitor.failed(path, error)?;
                    continue;
                }
            };
            let opened = if followed { self.root.follow_dir(&child) } else { dir.open_dir(&name) };
            match opened.and_then(|dir| Ok((dir.own_facts()?, dir))) {
                Ok((facts, opened)) => self.enter(dir, name, &child, facts, opened)?,
                Err(errno) => self.visitor.failed(&child, error::source("open", errno))?,
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        parent: &Arc<Dir>,
        name: Vec<u8>,
        path: &ItemPath,
        facts: Facts,
        opened: Dir,
    ) -> Result<()> {
        let id = (facts.identity.dev, facts.identity.ino);
        if self.above.contains(&id) {
            let error =
                EngineError::new(Kind::SourceLink, "the link leads back to a directory above");
            return self.visitor.failed(path, error);
        }
        let opened = Arc::new(opened);
        let reach = Reach::Opened(Arc::clone(&opened));
        let entry = Entry { dir: Arc::clone(parent), name, reach };
        if self.visitor.enter(item(path.clone(), facts, entry)?)? == Descend::Skip {
            return Ok(());
        }
        self.above.push(id);
        self.directory(&opened, path)?;
        self.above.pop();
        self.visitor.leave()
    }

    fn entry(
        &mut self,
        dir: &Arc<Dir>,
        path: &ItemPath,
        name: &[u8],
        kind: Option<ItemKind>,
        below: &mut NameList,
    ) -> Result<()> {
        let child = match path.join(name) {
            Ok(child) => child,
            Err(error) => return self.visitor.failed(path, error),
        };
        if kind == Some(ItemKind::Directory) {
            if !self.selection.excludes(&child) {
                below.add(name, false)?;
            }
            return Ok(());
        }
        let facts = match dir.facts(name) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return self.visitor.failed(&child, error::source("stat", errno)),
        };
        match facts.kind {
            ItemKind::Directory if self.selection.excludes(&child) => Ok(()),
            ItemKind::Directory => below.add(name, false),
            ItemKind::Symlink if self.links == LinkPolicy::Follow => {
                self.follow(dir, child, name, below)
            }
            _ if !self.selection.takes(&child) => Ok(()),
            _ => {
                let entry =
                    Entry { dir: Arc::clone(dir), name: name.to_vec(), reach: Reach::Itself };
                match item(child.clone(), facts, entry) {
                    Ok(item) => self.visitor.item(item),
                    Err(error) => self.visitor.failed(&child, error),
                }
            }
        }
    }

    fn follow(
        &mut self,
        dir: &Arc<Dir>,
        child: ItemPath,
        name: &[u8],
        below: &mut NameList,
    ) -> Result<()> {
        if self.selection.excludes(&child) {
            return Ok(());
        }
        let failed = |errno: Errno| match errno {
            Errno::MFILE | Errno::NFILE => error::source("open", errno),
            _ => EngineError::new(Kind::SourceLink, "the link cannot be followed")
                .because("open", Some(errno.raw_os_error())),
        };
        let facts = match self.root.follow_facts(&child) {
            Ok(facts) => facts,
            Err(errno) => return self.visitor.failed(&child, failed(errno)),
        };
        if facts.kind == ItemKind::Directory {
            return below.add(name, true);
        }
        if !self.selection.takes(&child) {
            return Ok(());
        }
        // The link is no name of the file it leads to.
        let attributes = Attributes { links: 1, ..facts.attributes };
        let facts = Facts { attributes, ..facts };
        let reach = Reach::Beneath(Arc::clone(self.root), child.clone());
        let entry = Entry { dir: Arc::clone(dir), name: name.to_vec(), reach };
        self.visitor.item(item(child, facts, entry)?)
    }
}
