//! A table that outgrew memory, in a file without a name: nothing of it outlives the process.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use redb::{Database, ReadableDatabase as _, TableDefinition};

use crate::error::Result;
use crate::journal::state::{StateDir, unusable};

/// Two numbers that name an entry.
pub type Key = (u64, u64);

const ENTRIES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("entries");
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
    pub fn put(&self, entries: impl Iterator<Item = (Key, Vec<u8>)>) -> Result<()> {
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
    pub fn remove(&self, key: Key) -> Result<()> {
        self.write(|table| table.remove(key).map(drop))
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// `StateDir` when it cannot be read.
    pub fn get(&self, key: Key) -> Result<Option<Vec<u8>>> {
        let read = self.0.begin_read().map_err(failed)?;
        let table = match read.open_table(ENTRIES) {
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            other => other.map_err(failed)?,
        };
        Ok(table.get(key).map_err(failed)?.map(|value| value.value().to_vec()))
    }

    fn write(
        &self,
        work: impl FnOnce(&mut redb::Table<'_, Key, &[u8]>) -> Result<(), redb::StorageError>,
    ) -> Result<()> {
        let transaction = self.0.begin_write().map_err(failed)?;
        {
            let mut table = transaction.open_table(ENTRIES).map_err(failed)?;
            work(&mut table).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }
}

/// What an entry in memory takes beside its value, bytes.
const ENTRY_BYTES: usize = 64;

/// A map that holds so much in memory and the rest on disk.
#[derive(Debug)]
pub struct SpillMap<'a> {
    disk: Option<&'a StateDir>,
    bytes_max: usize,
    near: HashMap<Key, Vec<u8>>,
    bytes: usize,
    far: Option<Spill>,
    hashers: [RandomState; 2],
}

impl<'a> SpillMap<'a> {
    /// An empty map, which spills into `disk` beyond `bytes_max`.
    #[must_use]
    pub fn new(disk: Option<&'a StateDir>, bytes_max: usize) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { disk, bytes_max, near: HashMap::new(), bytes: 0, far: None, hashers }
    }

    /// The key of a name: 128 bits of hashes whose keys nobody else knows, so that no two names
    /// meet, by chance or by design.
    #[must_use]
    pub fn key(&self, name: &[u8]) -> Key {
        let [one, two] = &self.hashers;
        (one.hash_one(name), two.hash_one(name))
    }

    /// Puts an entry, in place of an older one.
    ///
    /// # Errors
    /// `StateDir`, as when the disk is full.
    pub fn put(&mut self, key: Key, value: Vec<u8>) -> Result<()> {
        let bytes = ENTRY_BYTES + value.len();
        if self.bytes + bytes > self.bytes_max {
            self.spill()?;
        }
        self.bytes += bytes;
        if let Some(before) = self.near.insert(key, value) {
            self.bytes -= ENTRY_BYTES + before.len();
        }
        Ok(())
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// `StateDir` when it cannot be read.
    pub fn get(&self, key: Key) -> Result<Option<Vec<u8>>> {
        match (self.near.get(&key), &self.far) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Some(far)) => far.get(key),
            (None, None) => Ok(None),
        }
    }

    fn spill(&mut self) -> Result<()> {
        let far = match self.far.take() {
            Some(far) => far,
            None => Spill::new(self.disk)?,
        };
        self.far.insert(far).put(self.near.drain())?;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_finds_what_memory_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let mut map = SpillMap::new(Some(&state), 10_000);
        let key = |map: &SpillMap<'_>, n: u64| map.key(format!("name {n}").as_bytes());
        for round in 0..2u64 {
            for n in 0..1000u64 {
                map.put(key(&map, n), (n + round).to_le_bytes().to_vec()).unwrap();
                assert!(map.bytes <= 10_000 && map.near.len() < 200);
            }
        }
        for n in 0..1000u64 {
            assert_eq!(map.get(key(&map, n)).unwrap().unwrap(), (n + 1).to_le_bytes());
        }
        assert_eq!(map.get(key(&map, 1000)).unwrap(), None);
    }

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
