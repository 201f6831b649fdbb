//! Directories by handle: every call names one entry of an open directory, never a path.
//!
//! No link is followed below a root, so a parent swapped for a link during a run leads nowhere.
//! Errors are the system's own; endpoints say what they mean.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    self, AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Statx,
    StatxAttributes, StatxFlags, StatxTimestamp, Timespec, Timestamps,
};
use rustix::io::Errno;

use crate::limits::CALL_PATH_BYTES_MAX;
use crate::model::item::{Attributes, Identity, ItemKind, Special, Timestamp};
use crate::model::path::ItemPath;
use crate::model::version::Version;

/// Bytes of the buffer that directory entries are read into.
const ENTRIES_BYTES: usize = 64 << 10;

/// An open directory.
#[derive(Debug)]
pub struct Dir(OwnedFd);

/// What an entry is, from one call.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Its kind.
    pub kind: ItemKind,
    /// Which special file.
    pub special: Option<Special>,
    /// Bytes of content.
    pub size: u64,
    /// Mode, owner, times, links.
    pub attributes: Attributes,
    /// Device, inode, change time.
    pub identity: Identity,
    /// Whether something is mounted here: it is the root of a mount.
    pub mount_root: bool,
}

impl From<Statx> for Facts {
    fn from(stat: Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let kind = match FileType::from_raw_mode(mode) {
            FileType::RegularFile => ItemKind::File,
            FileType::Directory => ItemKind::Directory,
            FileType::Symlink => ItemKind::Symlink,
            _ => ItemKind::Special,
        };
        let number = fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
        let special = match FileType::from_raw_mode(mode) {
            FileType::Fifo => Some(Special::Fifo),
            FileType::Socket => Some(Special::Socket),
            FileType::CharacterDevice => Some(Special::Characters(number)),
            FileType::BlockDevice => Some(Special::Blocks(number)),
            _ => None,
        };
        let time = |time: StatxTimestamp| Timestamp::new(time.tv_sec, time.tv_nsec);
        let has_birth = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Self {
            kind,
            special,
            size: if kind == ItemKind::File { stat.stx_size } else { 0 },
            attributes: Attributes {
                mode: mode & 0o7777,
                uid: stat.stx_uid,
                gid: stat.stx_gid,
                mtime: time(stat.stx_mtime),
                atime: time(stat.stx_atime),
                links: u64::from(stat.stx_nlink),
                allocated: stat.stx_blocks * 512,
            },
            identity: Identity {
                dev: u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor),
                ino: stat.stx_ino,
                ctime: time(stat.stx_ctime),
                born: if has_birth { time(stat.stx_btime) } else { Timestamp::default() },
                version: Version::default(),
            },
            mount_root: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
        }
    }
}

/// What is asked of every entry.
const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Dir {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl Dir {
    /// Opens the directory `name` in this one.
    ///
    /// # Errors
    /// `NOTDIR` or `LOOP` when it is another kind of thing, and whatever the system says.
    pub fn open_dir(&self, name: &[u8]) -> Result<Dir, Errno> {
        fs::openat(&self.0, name, READ | OFlags::DIRECTORY, Mode::empty()).map(Dir)
    }

    /// Opens the directory of this name beneath the directory, crossing no link.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_dir_beneath(&self, path: &ItemPath) -> Result<Dir, Errno> {
        if path.as_bytes().len() > CALL_PATH_BYTES_MAX {
            let mut parts = path.parts();
            let first = self.open_dir(parts.next().unwrap_or(b"."))?;
            return parts.try_fold(first, |dir, part| dir.open_dir(part));
        }
        let name: &[u8] = if path.is_root() { b"." } else { path.as_bytes() };
        let flags = READ | OFlags::DIRECTORY;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(&self.0, name, flags, Mode::empty(), resolve).map(Dir)
    }

    /// Opens a regular file for reading, without following a link and without ever waiting for a
    /// fifo's other end.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = READ | OFlags::NONBLOCK | OFlags::NOCTTY;
        match fs::openat(&self.0, name, flags | OFlags::NOATIME, Mode::empty()) {
            Err(Errno::PERM) => fs::openat(&self.0, name, flags, Mode::empty()),
            other => other,
        }
    }

    /// Opens a regular file that a link of this name leads to, as long as it stays beneath the
    /// directory.
    ///
    /// # Errors
    /// `XDEV` when it leads out, `LOOP` when it is circular, and whatever the system says.
    pub fn follow_file(&self, path: &ItemPath) -> Result<OwnedFd, Errno> {
        self.follow(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Opens a regular file that a link of this name leads to, wherever that is: for names the
    /// operator gave.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_file_beyond(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        fs::openat(&self.0, name, flags, Mode::empty())
    }

    /// What a link of this name leads to, wherever that is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn facts_beyond(&self, name: &[u8]) -> Result<Facts, Errno> {
        fs::statx(&self.0, name, AtFlags::empty(), WANTED).map(Facts::from)
    }

    /// Opens a directory that a link of this name leads to, as [`Dir::follow_file`] does.
    ///
    /// # Errors
    /// As [`Dir::follow_file`].
    pub fn follow_dir(&self, path: &ItemPath) -> Result<Dir, Errno> {
        self.follow(path, OFlags::RDONLY | OFlags::DIRECTORY).map(Dir)
    }

    /// What a link of this name leads to, without opening it.
    ///
    /// # Errors
    /// As [`Dir::follow_file`].
    pub fn follow_facts(&self, path: &ItemPath) -> Result<Facts, Errno> {
        facts(&self.follow(path, OFlags::PATH)?)
    }

    fn follow(&self, path: &ItemPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        fs::openat2(&self.0, path.as_bytes(), flags, Mode::empty(), resolve)
    }

    /// What the entry is, links not followed.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn facts(&self, name: &[u8]) -> Result<Facts, Errno> {
        fs::statx(&self.0, name, AtFlags::SYMLINK_NOFOLLOW, WANTED).map(Facts::from)
    }

    /// Whether the entry of this name and these facts goes by the name in the other case too, and
    /// that is not a second name of its own.
    #[must_use]
    pub fn folds(&self, name: &[u8], facts: &Facts) -> bool {
        facts.attributes.links <= 1 && self.answers_to_other_case(name, facts)
    }

    /// Whether the name in the other case leads to the same thing, or, where a name has none, the
    /// directory is marked as folding them.
    #[must_use]
    pub fn answers_to_other_case(&self, name: &[u8], facts: &Facts) -> bool {
        /// `FS_CASEFOLD_FL` of `linux/fs.h`.
        const CASEFOLD: u32 = 0x4000_0000;
        let swap = |b: &u8| {
            if b.is_ascii_lowercase() { b.to_ascii_uppercase() } else { b.to_ascii_lowercase() }
        };
        let other: Vec<u8> = name.iter().map(swap).collect();
        if other == name {
            return fs::ioctl_getflags(&self.0).is_ok_and(|flags| flags.bits() & CASEFOLD != 0);
        }
        let id = |facts: &Facts| (facts.identity.dev, facts.identity.ino);
        self.facts(&other).is_ok_and(|other| id(&other) == id(facts))
    }

    /// What the directory itself is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn own_facts(&self) -> Result<Facts, Errno> {
        facts(&self.0)
    }

    /// The number of its filesystem's type.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn filesystem(&self) -> Result<u64, Errno> {
        fs::fstatfs(&self.0).map(|facts| (facts.f_type as u64) & 0xffff_ffff)
    }

    /// The text of a link.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        fs::readlinkat(&self.0, name, Vec::new()).map(std::ffi::CString::into_bytes)
    }

    /// Makes a directory, open to its owner only until its metadata is set.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn make_dir(&self, name: &[u8]) -> Result<(), Errno> {
        fs::mkdirat(&self.0, name, Mode::RWXU)
    }

    /// Makes a new file for writing and reading, readable by its owner only.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn create_file(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// Makes a new file that has no name here yet and is gone when nobody holds it any more. The
    /// process's mask takes bits off `mode`.
    ///
    /// # Errors
    /// `OPNOTSUPP` and others where the filesystem knows no such files.
    pub fn create_unnamed(&self, mode: u32) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        fs::openat(&self.0, ".", flags, Mode::from_raw_mode(mode))
    }

    /// Gives an open file the name `to`, only if nothing stands there.
    ///
    /// # Errors
    /// `EXIST` when something stands there, and whatever the system says.
    pub fn publish_unnamed(&self, file: &OwnedFd, to: &[u8]) -> Result<(), Errno> {
        match fs::linkat(file, "", &self.0, to, AtFlags::EMPTY_PATH) {
            // Not allowed to everybody on older systems.
            Err(Errno::NOENT) => {
                let path = format!("{OPEN_FILES}/{}", file.as_raw_fd());
                fs::linkat(fs::CWD, path, &self.0, to, AtFlags::SYMLINK_FOLLOW)
            }
            other => other,
        }
    }

    /// Opens a file of our own again, to go on writing.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_own(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        fs::openat(&self.0, name, flags, Mode::empty())
    }

    /// Opens a file of our own for reading past the page cache.
    ///
    /// # Errors
    /// `INVAL` where the filesystem cannot, and whatever the system says.
    pub fn open_direct(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        fs::openat(&self.0, name, READ | OFlags::NONBLOCK | OFlags::DIRECT, Mode::empty())
    }

    /// Opens a file for reading and writing, made with this mode where it is absent and `create`
    /// says so. No link is followed.
    ///
    /// # Errors
    /// `NOENT` where it is absent, and whatever the system says.
    pub fn open_record(&self, name: &[u8], create: Option<u32>) -> Result<OwnedFd, Errno> {
        let made = if create.is_some() { OFlags::CREATE } else { OFlags::empty() };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | made;
        fs::openat(&self.0, name, flags, Mode::from_raw_mode(create.unwrap_or_default()))
    }

    /// Makes a link with this text.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn make_link(&self, name: &[u8], text: &[u8]) -> Result<(), Errno> {
        fs::symlinkat(text, &self.0, name)
    }

    /// Makes a fifo, socket or device, open to its owner only until its mode is set. Its device is
    /// the one it stands for, not the one it lies on.
    ///
    /// # Errors
    /// `PERM` for a device without privilege, and whatever the system says.
    pub fn make_special(&self, name: &[u8], special: Special) -> Result<(), Errno> {
        let (kind, number) = match special {
            Special::Fifo => (FileType::Fifo, 0),
            Special::Socket => (FileType::Socket, 0),
            Special::Characters(number) => (FileType::CharacterDevice, number),
            Special::Blocks(number) => (FileType::BlockDevice, number),
        };
        fs::mknodat(&self.0, name, kind, Mode::RUSR | Mode::WUSR, number)
    }

    /// Makes `name` in `to` one more name of the entry `from` in this directory, links not
    /// followed.
    ///
    /// # Errors
    /// `MLINK`, `XDEV`, and whatever the system says.
    pub fn link_to(&self, from: &[u8], to: &Self, name: &[u8]) -> Result<(), Errno> {
        fs::linkat(&self.0, from, &to.0, name, AtFlags::empty())
    }

    /// The directory of this name beneath the directory, crossing no link, to reach its entries by
    /// name only: also one that may not be listed.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn reach_beneath(&self, path: &ItemPath) -> Result<Dir, Errno> {
        if path.as_bytes().len() > CALL_PATH_BYTES_MAX {
            return self.open_dir_beneath(path);
        }
        let name: &[u8] = if path.is_root() { b"." } else { path.as_bytes() };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(&self.0, name, flags, Mode::empty(), resolve).map(Dir)
    }

    /// Publishes `from` as `to`, only if nothing stands there. Where the filesystem knows no such
    /// rename, a hard link does the same in one step.
    ///
    /// # Errors
    /// `EXIST` when something stands there; `OPNOTSUPP` when neither way exists.
    pub fn publish_new(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        match fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                match fs::linkat(&self.0, from, &self.0, to, AtFlags::empty()) {
                    // It is published; a name that stays is found by its form.
                    Ok(()) => self.remove(from).or(Ok(())),
                    Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP | Errno::MLINK) => {
                        Err(Errno::OPNOTSUPP)
                    }
                    Err(error) => Err(error),
                }
            }
            other => other,
        }
    }

    /// Publishes `from`, which `is_own` knows, as `to` in place of what stands there, as long as
    /// `is_seen` knows that. What it does not know stays, and false is answered.
    ///
    /// The two names change places in one step, so that what was replaced is looked at once nobody
    /// can reach it any more by its name. Where the filesystem cannot do that, the look comes just
    /// before the rename.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn publish_over(
        &self,
        from: &[u8],
        to: &[u8],
        is_seen: impl Fn(&Facts) -> bool,
        is_own: impl Fn(&Facts) -> bool,
    ) -> Result<bool, Errno> {
        let swap = || fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::EXCHANGE);
        match self.facts(to) {
            Ok(there) if !is_seen(&there) => return Ok(false),
            Ok(_) => {}
            Err(Errno::NOENT) => return self.publish_free(from, to),
            Err(errno) => return Err(errno),
        }
        match swap() {
            Ok(()) if is_seen(&self.facts(from)?) => {
                // It is published; a name that stays is found by its form.
                let _ = self.remove(from);
                Ok(true)
            }
            Ok(()) => {
                swap()?;
                // Who renamed onto the name in between had replaced ours, and has the name again.
                if !is_own(&self.facts(from)?) {
                    swap()?;
                    let _ = self.remove(from);
                }
                Ok(false)
            }
            Err(Errno::NOENT) => self.publish_free(from, to),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::renameat(&self.0, from, &self.0, to).map(|()| true)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Publishes `from` as `to`, whose last holder is gone; false when another came.
    fn publish_free(&self, from: &[u8], to: &[u8]) -> Result<bool, Errno> {
        match self.publish_new(from, to) {
            Err(Errno::EXIST) => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Removes an entry that is no directory.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn remove(&self, name: &[u8]) -> Result<(), Errno> {
        fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    /// Removes a name that is no content: a record of ours, a temporary file. The times of the
    /// directory, which may have been carried over, stay.
    ///
    /// # Errors
    /// Whatever the system says of the removal. Who may not set times did not carry them over.
    pub fn remove_own(&self, name: &[u8]) -> Result<(), Errno> {
        let before = self.own_facts();
        self.remove(name)?;
        if let Ok(before) = before {
            let _ = fs::futimens(self, &timestamps(&before.attributes));
        }
        Ok(())
    }

    /// Removes a directory that is empty.
    ///
    /// # Errors
    /// `NOTEMPTY`, `BUSY` where something is mounted on it, and whatever the system says.
    pub fn remove_dir(&self, name: &[u8]) -> Result<(), Errno> {
        fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)
    }

    /// Calls `found` for each entry but `.` and `..`, with its kind where the system tells it.
    ///
    /// # Errors
    /// Whatever the system says; `found` ends the listing by returning false.
    pub fn each_entry(
        &self,
        mut found: impl FnMut(&[u8], Option<ItemKind>) -> bool,
    ) -> Result<(), Errno> {
        fs::seek(&self.0, fs::SeekFrom::Start(0))?;
        let mut buffer = Vec::with_capacity(ENTRIES_BYTES);
        let mut entries = RawDir::new(&self.0, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let kind = match entry.file_type() {
                FileType::RegularFile => Some(ItemKind::File),
                FileType::Directory => Some(ItemKind::Directory),
                FileType::Symlink => Some(ItemKind::Symlink),
                FileType::Unknown => None,
                _ => Some(ItemKind::Special),
            };
            if name != b"." && name != b".." && !found(name, kind) {
                break;
            }
        }
        Ok(())
    }

    /// The directory above; the root is its own.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn parent(&self) -> Result<Dir, Errno> {
        fs::openat(&self.0, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map(Dir)
    }
}

/// Where the process's open files have names.
const OPEN_FILES: &str = "/proc/self/fd";

/// Whether an open file without a name can be given one by everybody.
#[must_use]
pub fn may_name_open_files() -> bool {
    fs::statx(fs::CWD, OPEN_FILES, AtFlags::empty(), StatxFlags::TYPE).is_ok()
}

/// What an open file is.
///
/// # Errors
/// Whatever the system says.
pub fn facts(fd: &impl AsFd) -> Result<Facts, Errno> {
    fs::statx(fd, "", AtFlags::EMPTY_PATH, WANTED).map(Facts::from)
}

/// What a path of the operator leads to, links followed.
///
/// # Errors
/// Whatever the system says.
pub fn facts_of_path(path: &[u8]) -> Result<Facts, Errno> {
    fs::statx(fs::CWD, path, AtFlags::empty(), WANTED).map(Facts::from)
}

/// The times that are carried over.
pub fn timestamps(attributes: &Attributes) -> Timestamps {
    let spec =
        |time: Timestamp| Timespec { tv_sec: time.seconds(), tv_nsec: i64::from(time.nanos()) };
    Timestamps { last_access: spec(attributes.atime), last_modification: spec(attributes.mtime) }
}

/// Sets the permission bits of an open file or directory.
///
/// # Errors
/// Whatever the system says.
pub fn set_mode(fd: &impl AsFd, mode: u32) -> Result<(), Errno> {
    fs::fchmod(fd, Mode::from_raw_mode(mode))
}
