//! A table that outgrew memory, in a file without a name: nothing of it outlives the process.

use std::path::Path;

use redb::{Database, ReadableDatabase as _, TableDefinition};

use crate::error::Result;
use crate::journal::state::{StateDir, unusable};

const ENTRIES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("entries");
/// Memory of the table itself, bytes.
const CACHE_BYTES: usize = 1 << 20;

/// Entries by pairs of numbers.
#[derive(Debug)]
pub struct Spill(Database);

fn failed(error: impl Into<redb::Error>) -> crate::error::EngineError {
    let error = std::io::Error::other(error.into());
    unusable(Path::new("of this job's table"), "redb", &error)
}

impl Spill {
    /// An empty table, in the state directory or where temporary files go.
    ///
    /// # Errors
    /// `StateDir` when neither takes a file.
    pub fn new(state: Option<&StateDir>) -> Result<Self> {
        let file = StateDir::nameless(state)?;
        let mut builder = redb::Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        builder.create_file(file).map(Self).map_err(failed)
    }

    /// Adds entries, in place of older ones.
    ///
    /// # Errors
    /// `StateDir`, as when the disk is full.
    pub fn put(&self, entries: impl Iterator<Item = ((u64, u64), Vec<u8>)>) -> Result<()> {
        self.write(|table| {
            for (key, value) in entries {
                table.insert(key, value.as_slice())?;
            }
            Ok(())
        })
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// As [`Spill::put`].
    pub fn remove(&self, key: (u64, u64)) -> Result<()> {
        self.write(|table| table.remove(key).map(drop))
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// `StateDir` when it cannot be read.
    pub fn get(&self, key: (u64, u64)) -> Result<Option<Vec<u8>>> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = match read.open_table(ENTRIES) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(failed)?,
        };
        Ok(table.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
    }

    fn write(
        &self,
        work: impl FnOnce(&mut redb::Table<'_, (u64, u64), &[u8]>) -> Result<(), redb::StorageError>,
    ) -> Result<()> {
        let transaction = self.0.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(ENTRIES).map_err(failed)?;
            work(&mut table).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_replaced_and_removed_without_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let before = crate::platform::operator::names(dir.path()).unwrap().len();
        let spill = Spill::new(Some(&state)).unwrap();
        assert_eq!(spill.get((1, 2)).unwrap(), None);
        spill.put((0..1000).map(|n| ((1, n), n.to_string().into_bytes()))).unwrap();
        spill.put([((1, 7), b"new".to_vec())].into_iter()).unwrap();
        spill.remove((1, 8)).unwrap();
        assert_eq!(spill.get((1, 7)).unwrap().unwrap(), b"new");
        assert_eq!(spill.get((1, 999)).unwrap().unwrap(), b"999");
        assert_eq!((spill.get((1, 8)).unwrap(), spill.get((2, 7)).unwrap()), (None, None));
        assert_eq!(crate::platform::operator::names(dir.path()).unwrap().len(), before);
    }
}
