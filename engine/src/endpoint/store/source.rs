//! A bucket as a source of items.

use std::sync::Arc;

use crate::endpoint::contract::{Caps, Descend, ObjectSource, Offer, Reader, Visitor};
use crate::error::{EngineError, Kind, Result};
use crate::model::choice::LinkPolicy;
use crate::model::item::{Attributes, Handle, Identity, Item, ItemKind};
use crate::model::path::ItemPath;
use crate::model::selection::Selection;

use super::bucket::{Bucket, prefix_of};
use super::metadata;
use super::reader::ObjectReader;
use super::turns::Turns;
use super::verbs::{Ask, From, Object};
use super::walk::{self, Nested, PAGE_ENTRIES};

/// Which service a source's items are in.
pub(super) struct Home {
    pub(super) service: String,
}

/// An object as an item.
pub(super) fn item(path: ItemPath, object: Object) -> Item {
    Item {
        path,
        kind: ItemKind::File,
        size: object.size,
        attributes: metadata::attributes(&object),
        identity: Identity {
            ctime: object.modified,
            version: object.version,
            ..Identity::default()
        },
        link: None,
        special: None,
        handle: Handle::new(Arc::new(object)),
    }
}

/// A prefix as a directory.
pub(super) fn directory(path: ItemPath) -> Item {
    Item {
        path,
        kind: ItemKind::Directory,
        size: 0,
        attributes: Attributes { mode: 0o755, links: 1, ..Attributes::default() },
        identity: Identity::default(),
        link: None,
        special: None,
        handle: Handle::default(),
    }
}

impl Bucket {
    /// Whether any key begins so. A page may hold nothing and go on: only the last one is an end.
    pub(super) fn has_any(&self, prefix: &str) -> Result<bool> {
        let (mut turns, mut most) = (Turns::default(), 1);
        loop {
            let ask = Ask { prefix, folded: false, next: turns.token(), most };
            let page = self.store.list(&ask)?;
            if !page.objects.is_empty() {
                return Ok(true);
            }
            if !turns.go_on(&page)? {
                return Ok(false);
            }
            most = PAGE_ENTRIES;
        }
    }

    fn missing(&self) -> EngineError {
        let shown = self.shown.as_slice();
        EngineError::new(Kind::SourceNotFound, "the source does not exist").at(shown)
    }

    fn known(&self, item: &Item) -> Result<Arc<Object>> {
        let known = item.handle.get::<Object>();
        known.ok_or_else(|| EngineError::new(Kind::Internal, "not an item of an object store"))
    }
}

impl ObjectSource for Bucket {
    fn caps(&self) -> Caps {
        Self::caps(self.store.scheme())
    }

    fn survey(
        &self,
        selection: &Selection,
        _links: LinkPolicy,
        visitor: &mut dyn Visitor,
    ) -> Result<()> {
        if !self.is_prefix
            && let Some(object) = self.store.look(&self.root)?
        {
            return visitor.item(item(ItemPath::root(), object));
        }
        if !self.is_prefix && !self.store.rules().lists {
            return Err(self.missing());
        }
        let mut nested = Nested::new(self, selection, visitor);
        walk::pages(&*self.store, &self.beneath(), &mut |page| nested.page(page))?;
        nested.finish()
    }

    fn find(&self, path: &ItemPath) -> Result<Option<Item>> {
        let key = match path.is_root() {
            true => self.root.clone(),
            false => self.names.key_of(&self.beneath(), path)?,
        };
        let is_prefix = path.is_root() && self.is_prefix;
        if !is_prefix && let Some(object) = self.store.look(&key)? {
            return Ok(Some(item(path.clone(), object)));
        }
        let beneath = self.store.rules().lists && self.has_any(&prefix_of(&key))?;
        Ok(beneath.then(|| directory(path.clone())))
    }

    fn hides_others(&self) -> Result<bool> {
        let may = !self.is_prefix && self.store.rules().lists;
        Ok(may && self.has_any(&self.beneath())?)
    }

    fn open(&self, item: &Item) -> Result<Box<dyn Reader>> {
        let known = self.known(item)?;
        let reader = ObjectReader::open(&self.store, &known);
        Ok(Box::new(reader?))
    }

    fn home(&self) -> Handle {
        Handle::new(Arc::new(Home { service: self.store.service() }))
    }

    fn offer(&self, item: &Item) -> Result<Option<Offer>> {
        let known = self.known(item)?;
        let Some(object) = self.store.look(&known.key)?.filter(|object| !object.archived) else {
            return Ok(None);
        };
        let digests = object.digests.clone();
        let extended = metadata::extended(&object);
        let item = self::item(item.path.clone(), object.clone());
        let store = Arc::clone(&self.store);
        let handle = Handle::new(Arc::new(From { store, object }));
        Ok(Some(Offer { item, extended, digests, handle }))
    }

    fn refine(&self, item: &Item) -> Result<Option<Item>> {
        let known = self.known(item)?;
        if known.metadata.is_some() {
            return Ok(None);
        }
        let looked = self.store.look(&known.key)?;
        let object = looked.ok_or_else(|| {
            EngineError::new(Kind::SourceNotFound, "the object does not exist any more")
        })?;
        Ok(Some(self::item(item.path.clone(), object)))
    }
}

impl Nested<'_> {
    /// Tells a page's objects.
    fn page(&mut self, objects: Vec<Object>) -> Result<()> {
        objects.into_iter().try_for_each(|object| self.object(object))
    }

    fn object(&mut self, object: Object) -> Result<()> {
        let Some(relative) = object.key.strip_prefix(&self.prefix).map(str::to_owned) else {
            let message = "the listing tells a key outside of what was asked for";
            return Err(EngineError::new(Kind::RemoteAnswer, message).at(object.key));
        };
        // What other tools leave where a directory is meant.
        let marker = relative.strip_suffix('/').filter(|_| object.size == 0);
        if relative.is_empty() || marker == Some("") {
            return Ok(());
        }
        match self.bucket.names.path(marker.unwrap_or(&relative)) {
            Ok(path) if marker.is_some() => self.marker(&path),
            Ok(path) if !self.selection.takes(&path) => Ok(()),
            Ok(path) => {
                if self.open_parents(&path)? {
                    self.visitor.item(item(path, object))?;
                }
                Ok(())
            }
            Err(error) => {
                self.begin()?;
                self.visitor.failed(&ItemPath::root(), error.about(relative))
            }
        }
    }

    /// A directory without anything in it.
    fn marker(&mut self, path: &ItemPath) -> Result<()> {
        match path.join(b"x") {
            Ok(inside) => self.open_parents(&inside).map(drop),
            Err(error) => self.visitor.failed(path, error),
        }
    }

    /// The root, once something was found in it.
    pub(super) fn begin(&mut self) -> Result<bool> {
        if !self.begun {
            self.begun = true;
            self.left_out = self.visitor.enter(directory(ItemPath::root()))? == Descend::Skip;
        }
        Ok(!self.left_out)
    }

    fn finish(mut self) -> Result<()> {
        if !self.begun {
            return Err(self.bucket.missing());
        }
        self.close_to(0)?;
        if self.left_out { Ok(()) } else { self.visitor.leave() }
    }
}
