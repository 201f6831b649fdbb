//! Members in the order they stand, told as a walk: directories entered before what is in them.

use crate::endpoint::contract::{Descend, Visitor};
use crate::error::Result;
use crate::model::item::Item;
use crate::model::path::ItemPath;

/// Enters and leaves directories as names ask for it. A directory that an archive comes back to
/// is entered again.
pub struct Walk<'a> {
    visitor: &'a mut dyn Visitor,
    /// Makes the item of a directory that has no member of its own.
    implied: &'a dyn Fn(ItemPath) -> Item,
    /// The directories entered, the root first.
    open: Vec<ItemPath>,
    /// A directory that is left out with all below it.
    skipped: Option<ItemPath>,
}

impl<'a> Walk<'a> {
    /// A walk that begins with this root.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn begin(
        visitor: &'a mut dyn Visitor,
        implied: &'a dyn Fn(ItemPath) -> Item,
        root: Item,
    ) -> Result<Self> {
        let mut walk = Self { visitor, implied, open: Vec::new(), skipped: None };
        walk.enter(root)?;
        Ok(walk)
    }

    /// A member that is no directory.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn item(&mut self, item: Item) -> Result<()> {
        if self.reach(&item.path)? { self.visitor.item(item) } else { Ok(()) }
    }

    /// A directory with a member of its own.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn directory(&mut self, item: Item) -> Result<()> {
        if item.path.is_root() || self.open.last() == Some(&item.path) || !self.reach(&item.path)? {
            return Ok(());
        }
        self.enter(item)
    }

    /// A member that is not restored.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn failed(&mut self, path: &ItemPath, error: crate::error::EngineError) -> Result<()> {
        self.visitor.failed(path, error)
    }

    /// Leaves all directories.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn end(mut self) -> Result<()> {
        self.close_to(0)
    }

    fn enter(&mut self, item: Item) -> Result<()> {
        let path = item.path.clone();
        match self.visitor.enter(item)? {
            Descend::Into => self.open.push(path),
            Descend::Skip => self.skipped = Some(path),
        }
        Ok(())
    }

    /// Enters the directories above `path`; false where one of them is left out.
    fn reach(&mut self, path: &ItemPath) -> Result<bool> {
        if self.skipped.as_ref().is_some_and(|skipped| is_above(skipped, path)) {
            return Ok(false);
        }
        let same = self.open.iter().take_while(|open| is_above(open, path)).count();
        self.close_to(same)?;
        let parts: Vec<&[u8]> = path.parts().collect();
        let above = parts.len().saturating_sub(1);
        for depth in self.open.len().max(1)..=above {
            let parent = ItemPath::parse(&parts.get(..depth).unwrap_or_default().join(&b'/'))?;
            self.enter((self.implied)(parent))?;
            if self.skipped.as_ref().is_some_and(|skipped| is_above(skipped, path)) {
                return Ok(false);
            }
        }
        Ok(!self.open.is_empty())
    }

    fn close_to(&mut self, depth: usize) -> Result<()> {
        while self.open.len() > depth {
            self.open.pop();
            self.visitor.leave()?;
        }
        Ok(())
    }
}

/// Whether `path` lies in the directory `above`.
fn is_above(above: &ItemPath, path: &ItemPath) -> bool {
    let rest = path.as_bytes().strip_prefix(above.as_bytes());
    above.is_root() && !path.is_root() || rest.is_some_and(|rest| rest.starts_with(b"/"))
}
