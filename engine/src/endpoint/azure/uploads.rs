//! Uploads that were begun: List Blobs with those that are not committed, then the blocks of each.
//!
//! The service lists only keys under which nothing was ever committed. Blocks that wait under the
//! key of an object that stands are not told by any listing; they expire a week after the last one.

use std::collections::BTreeSet;

use crate::endpoint::azure::container::Container;
use crate::endpoint::store::turns::Turns;
use crate::endpoint::store::verbs::{Ask, Begun, Upload};
use crate::error::Result;

/// Keys asked for at once.
const PAGE: usize = 1000;

impl Container {
    /// Tells every upload of this program whose key begins so.
    pub(super) fn uncommitted(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Begun) -> Result<()>,
    ) -> Result<()> {
        let mut turns = Turns::default();
        loop {
            let ask = Ask { prefix, folded: false, next: turns.token(), most: PAGE };
            let page = self.page_of_uncommitted(&ask)?;
            for empty in page.found {
                let waiting = self.waiting(&empty.key)?;
                let nonces: BTreeSet<_> = waiting.into_iter().map(|(name, _)| name.nonce).collect();
                for id in nonces {
                    let upload = Upload { key: empty.key.clone(), id };
                    each(Begun { upload, begun: empty.begun })?;
                }
            }
            if !turns.leads(page.next.as_ref(), page.is_empty)? {
                return Ok(());
            }
        }
    }
}
