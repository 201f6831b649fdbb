//! Large files that a keyed command had begun when it was killed: under which temporary name, of
//! which state of the source, and which of their parts were written.

use std::sync::PoisonError;

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::journal::keyed::{Ledger, Source};
use crate::model::digest::Algorithm;
use crate::model::found::Mark;
use crate::model::item::Item;
use crate::model::parts::PartDigest;

const BEGUN: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("begun");
const PARTS: TableDefinition<'_, (&[u8], u64), &[u8]> = TableDefinition::new("parts");

/// Proof that a part was written: the digests of what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceipt {
    /// What it adds to the digest of the whole, where that combines.
    pub whole: Option<PartDigest>,
    /// Its own.
    pub piece: PartDigest,
    /// What its store named it when it took it, where it named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Receipts by the number of their part, in order.
pub type Parts = Vec<(u64, PartReceipt)>;

/// A large file that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    source: Source,
    /// Its temporary name.
    temp: Vec<u8>,
    dev: u64,
    ino: u64,
    born_ns: i128,
    algorithm: Option<String>,
    part_bytes: u64,
}

impl Begun {
    /// The record of a file that is written as `temp`, which `mark` identifies.
    #[must_use]
    pub fn new(
        item: &Item,
        temp: &[u8],
        mark: Mark,
        algorithm: Option<Algorithm>,
        part_bytes: u64,
    ) -> Self {
        Self {
            source: Source::of(item),
            temp: temp.to_vec(),
            dev: mark.lasting().dev,
            ino: mark.ino,
            born_ns: mark.born.0,
            algorithm: algorithm.map(|algorithm| algorithm.name().to_owned()),
            part_bytes,
        }
    }

    /// Whether it speaks of the source item as it is now, cut and digested in the same way. Of an
    /// item that nothing but its size tells from another state nobody knows.
    #[must_use]
    pub fn fits(&self, item: &Item, algorithm: Option<Algorithm>, part_bytes: u64) -> bool {
        self.source == Source::of(item)
            && self.source.tells_states()
            && self.algorithm.as_deref() == algorithm.map(Algorithm::name)
            && self.part_bytes == part_bytes
    }

    /// Its temporary name.
    #[must_use]
    pub fn temp(&self) -> &[u8] {
        &self.temp
    }

    /// What identifies the temporary file, as [`Mark::lasting`]; its size and time change while it is written.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let born = crate::model::item::Timestamp(self.born_ns);
        Mark { dev: self.dev, ino: self.ino, born, ..Mark::default() }
    }
}

impl Ledger {
    /// The large file of this name that an earlier attempt had begun, and its parts in order.
    ///
    /// # Errors
    /// `JournalCorrupt`.
    pub fn begun(&self, path: &[u8]) -> Result<Option<(Begun, Parts)>> {
        let broken = |error: redb::Error| self.broken(&error);
        let read = self.database().begin_read().map_err(|error| broken(error.into()))?;
        let begun = match read.open_table(BEGUN) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(broken(error.into())),
        };
        let Some(found) = begun.get(path).map_err(|error| broken(error.into()))? else {
            return Ok(None);
        };
        let begun = self.decode(found.value())?;
        let table = read.open_table(PARTS).map_err(|error| broken(error.into()))?;
        let range = table.range((path, 0)..=(path, u64::MAX));
        let mut parts = Vec::new();
        for entry in range.map_err(|error| broken(error.into()))? {
            let (key, value) = entry.map_err(|error| broken(error.into()))?;
            parts.push((key.value().1, self.decode(value.value())?));
        }
        Ok(Some((begun, parts)))
    }

    /// Temporary names of all files that were begun and not finished.
    ///
    /// # Errors
    /// `JournalCorrupt`.
    pub fn begun_temps(&self) -> Result<Vec<Vec<u8>>> {
        let broken = |error: redb::Error| self.broken(&error);
        let read = self.database().begin_read().map_err(|error| broken(error.into()))?;
        let table = match read.open_table(BEGUN) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(broken(error.into())),
        };
        let mut temps = Vec::new();
        for entry in table.iter().map_err(|error| broken(error.into()))? {
            let (_, value) = entry.map_err(|error| broken(error.into()))?;
            temps.push(self.decode::<Begun>(value.value())?.temp);
        }
        Ok(temps)
    }

    /// The item has its name: what was begun of it is forgotten with the next receipts that are
    /// committed. Until then it is of no use, and does no harm.
    pub fn named(&self, path: &[u8]) {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_vec());
    }

    pub(super) fn take_named(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.named.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commits receipts of parts, with the record of the file they belong to.
    ///
    /// # Errors
    /// `StateDir` when they cannot be written.
    pub fn commit_parts(
        &self,
        path: &[u8],
        begun: &Begun,
        parts: &[(u64, PartReceipt)],
    ) -> Result<()> {
        self.write(|transaction| {
            let bytes = serde_json::to_vec(begun).unwrap_or_default();
            let mut all = transaction.open_table(BEGUN)?;
            let before = all.insert(path, bytes.as_slice())?;
            let anew = before.is_none_or(|before| before.value() != bytes);
            let mut table = transaction.open_table(PARTS)?;
            if anew {
                table.retain_in((path, 0)..=(path, u64::MAX), |_, _| false)?;
            }
            for (index, receipt) in parts {
                let bytes = serde_json::to_vec(receipt).unwrap_or_default();
                table.insert((path, *index), bytes.as_slice())?;
            }
            Ok(())
        })
    }
}

/// Forgets what was begun of these items: they are finished, or begin anew.
///
/// # Errors
/// Those of the store.
pub(super) fn forget<'a>(
    transaction: &redb::WriteTransaction,
    paths: impl Iterator<Item = &'a [u8]>,
) -> Result<(), redb::Error> {
    let mut begun = transaction.open_table(BEGUN)?;
    if begun.first()?.is_none() {
        return Ok(());
    }
    let mut parts = transaction.open_table(PARTS)?;
    for path in paths {
        if begun.remove(path)?.is_some() {
            parts.retain_in((path, 0)..=(path, u64::MAX), |_, _| false)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::keyed::{Opened, Receipt, open};
    use crate::model::item::{Attributes, Handle, Identity, ItemKind};
    use crate::model::path::ItemPath;

    #[test]
    fn what_was_begun_of_an_item_goes_once_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let command = json!({"op": "copy"});
        let Opened::Run(ledger) = open(dir.path(), "k", &command, "j1").unwrap() else {
            panic!("run")
        };
        let item = Item {
            path: ItemPath::root(),
            kind: ItemKind::File,
            size: 1 << 30,
            attributes: Attributes::default(),
            identity: Identity::default(),
            link: None,
            special: None,
            handle: Handle::default(),
        };
        let receipt = || Receipt::new(&item, Mark::default(), &[]);
        let part = PartReceipt { whole: None, piece: PartDigest::Crc(1, 1), tag: None };
        for number in 0..50u32 {
            let path = format!("f{number}").into_bytes();
            let begun = Begun::new(&item, &path, Mark::default(), None, 8 << 20);
            ledger.commit_parts(&path, &begun, &[(0, part.clone()), (1, part.clone())]).unwrap();
            // The receipt goes before the name: until then the parts are needed.
            ledger.commit_together(vec![(path.clone(), receipt())]).unwrap();
            assert!(ledger.begun(&path).unwrap().is_some_and(|(_, parts)| parts.len() == 2));
            assert!(ledger.begun_temps().unwrap().len() <= 2);
            ledger.named(&path);
        }
        ledger.commit_together(vec![(b"last".to_vec(), receipt())]).unwrap();
        assert!(ledger.begun_temps().unwrap().is_empty());
        assert!(ledger.begun(b"f49").unwrap().is_none());
    }
}
