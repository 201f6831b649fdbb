//! Names put aside while a directory is listed, to be gone into after: few in memory, more in a
//! file without a name.
//!
//! A walk lists a directory to its end before it goes deeper, so its lists lie upon each other:
//! one file holds all that do not fit, and what is above a list's end is free again once the
//! lists above it are gone.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use crate::error::{EngineError, Kind, Result};
use crate::limits::NAMES_BYTES;
use crate::platform::operator;

/// Bytes written to the file at once.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes read from it at once: as many as there are levels may be read at a time.
const READ_BYTES: usize = 4 << 10;
/// In front of each name: its length and its mark.
const HEAD_BYTES: usize = 5;

/// The lists of one walk.
#[derive(Clone, Debug)]
pub struct Names(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes that memory still takes.
    room: Cell<usize>,
    /// Where the file's used part ends.
    end: Cell<u64>,
    file: OnceCell<File>,
}

impl Default for Names {
    fn default() -> Self {
        Self::within(NAMES_BYTES)
    }
}

impl Names {
    fn within(bytes: usize) -> Self {
        let (room, end) = (Cell::new(bytes), Cell::new(0));
        Self(Rc::new(Shared { room, end, file: OnceCell::new() }))
    }

    /// An empty list; those made before it grow no more while it is there.
    #[must_use]
    pub fn list(&self) -> NameList {
        NameList { shared: Rc::clone(&self.0), near: Vec::new(), at: 0, far: None }
    }
}

impl Shared {
    fn file(&self) -> std::io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = operator::nameless(&std::env::temp_dir())?;
        Ok(self.file.get_or_init(|| file))
    }
}

fn failed(call: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |error| {
        let message = "a directory has more subdirectories than memory holds, and their names \
                       cannot be kept where temporary files go";
        EngineError::new(Kind::StateDir, message).because(call, error.raw_os_error())
    }
}

/// Names in the order in which they were added, each with a mark.
#[derive(Debug)]
pub struct NameList {
    shared: Rc<Shared>,
    /// All of it; of what is in the file, what is not written yet, or what was read of it.
    near: Vec<u8>,
    /// What of it was taken.
    at: usize,
    far: Option<Far>,
}

/// What of a list is in the file.
#[derive(Debug)]
struct Far {
    start: u64,
    /// What comes next.
    next: u64,
    end: u64,
    writing: bool,
}

impl NameList {
    /// Adds a name; only before the first is taken.
    ///
    /// # Errors
    /// `StateDir` when the file cannot be made or written.
    pub fn add(&mut self, name: &[u8], mark: bool) -> Result<()> {
        let bytes = HEAD_BYTES + name.len();
        if self.far.is_none() {
            match self.shared.room.get().checked_sub(bytes) {
                Some(room) => self.shared.room.set(room),
                None => self.leave_memory(),
            }
        }
        self.near.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.near.push(u8::from(mark));
        self.near.extend_from_slice(name);
        if self.near.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    /// The next name with its mark; `None` at the end.
    ///
    /// # Errors
    /// `StateDir` when the file cannot be written or read.
    pub fn take(&mut self) -> Result<Option<(Vec<u8>, bool)>> {
        self.write()?;
        if let Some(far) = self.far.as_mut().filter(|far| far.writing) {
            (far.writing, self.near) = (false, Vec::new());
            self.shared.end.set(far.end);
        }
        let head: Option<[u8; HEAD_BYTES]> =
            self.bytes(HEAD_BYTES)?.and_then(|head| head.try_into().ok());
        let Some([a, b, c, d, mark]) = head else {
            return Ok(None);
        };
        let name = self.bytes(u32::from_le_bytes([a, b, c, d]) as usize)?;
        Ok(name.map(|name| (name, mark != 0)))
    }

    /// Gives its memory back: from here on it is in the file.
    fn leave_memory(&mut self) {
        let start = self.shared.end.get();
        self.far = Some(Far { start, next: start, end: start, writing: true });
        self.shared.room.set(self.shared.room.get() + self.near.len());
    }

    /// Writes what is not written yet of what goes to the file.
    fn write(&mut self) -> Result<()> {
        let Some(far) = self.far.as_mut().filter(|far| far.writing) else {
            return Ok(());
        };
        let written = self.shared.file().and_then(|file| file.write_all_at(&self.near, far.end));
        written.map_err(failed("write"))?;
        far.end += self.near.len() as u64;
        self.near.clear();
        self.near.shrink_to(WRITE_BYTES);
        Ok(())
    }

    /// The next so many bytes; `None` at the end.
    fn bytes(&mut self, count: usize) -> Result<Option<Vec<u8>>> {
        if let Some(far) = &mut self.far
            && self.near.len() - self.at < count
        {
            self.near.drain(..self.at);
            self.at = 0;
            let held = self.near.len();
            let want = READ_BYTES.max(count - held).min((far.end - far.next) as usize);
            self.near.resize(held + want, 0);
            let room = self.near.get_mut(held..).unwrap_or_default();
            let read = self.shared.file().and_then(|file| file.read_exact_at(room, far.next));
            read.map_err(failed("read"))?;
            far.next += want as u64;
        }
        let bytes = self.near.get(self.at..self.at + count).map(<[u8]>::to_vec);
        self.at += bytes.as_ref().map_or(0, Vec::len);
        Ok(bytes)
    }
}

impl Drop for NameList {
    fn drop(&mut self) {
        match &self.far {
            Some(far) => self.shared.end.set(far.start),
            None => self.shared.room.set(self.shared.room.get() + self.near.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1000;

    fn name(level: usize, n: usize) -> Vec<u8> {
        let name = format!("{level}/{n}\u{fffd}").into_bytes();
        name.repeat(if n % 7 == 6 { 700 } else { 1 })
    }

    fn filled(names: &Names, level: usize, count: usize) -> NameList {
        let mut list = names.list();
        for n in 0..count {
            list.add(&name(level, n), n % 3 == 0).unwrap();
            assert!(list.near.len() < WRITE_BYTES + 10_000);
        }
        list
    }

    /// Takes all of it, with lists of other lengths made and given up meanwhile.
    fn walk(names: &Names, level: usize, counts: &[usize]) {
        let Some((count, below)) = counts.split_first() else { return };
        let mut list = filled(names, level, *count);
        for n in 0..*count {
            assert_eq!(list.take().unwrap(), Some((name(level, n), n % 3 == 0)));
            if n % 50 == 1 {
                walk(names, level + 1, below);
                drop(filled(names, 9, 40).take());
            }
        }
        assert_eq!(list.take().unwrap(), None);
    }

    #[test]
    fn names_come_back_in_order_however_lists_lie_upon_each_other() {
        let names = Names::within(ROOM);
        walk(&names, 0, &[300, 5, 120, 0, 60]);
        assert_eq!((names.0.room.get(), names.0.end.get()), (ROOM, 0));
        assert!(names.0.file.get().is_some());
    }

    #[test]
    fn few_names_take_no_file_and_many_no_memory() {
        let names = Names::within(ROOM);
        let few = filled(&names, 1, 3).take().unwrap();
        assert!(few.is_some() && names.0.file.get().is_none());
        let mut many = filled(&names, 1, 5000);
        assert!(many.take().unwrap().is_some());
        assert_eq!(names.0.room.get(), ROOM, "what is in the file takes no memory");
        assert!(many.near.capacity() < 4 * READ_BYTES);
    }
}
