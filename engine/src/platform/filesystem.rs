//! What kind of filesystem a file lies on, where that decides how it is best handled.

use std::os::fd::AsFd;

use rustix::fs::fstatfs;

/// Filesystems whose server or daemon copies ranges by itself, so that no byte travels:
/// `copy_file_range` on others is a plain copy on one thread (magic numbers: linux/magic.h).
const COPIES_ITSELF: [u64; 6] = [
    0x6969,      // NFS, from 4.2 on
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x6573_5546, // FUSE
    0x00c3_6400, // Ceph
    0x7461_636f, // OCFS2
];

/// Filesystems that told holes where data had not reached the device yet (OpenZFS 2.2 and before).
const TELLS_FALSE_HOLES: [u64; 1] = [0x2fc1_2fc1];

fn kind(fd: &impl AsFd) -> Option<u64> {
    fstatfs(fd).ok().map(|facts| facts.f_type as u64)
}

/// Whether `copy_file_range` between files here is more than a loop of reads and writes.
pub fn copies_itself(fd: &impl AsFd) -> bool {
    kind(fd).is_some_and(|kind| COPIES_ITSELF.contains(&kind))
}

/// Whether a hole it tells of is one.
pub fn tells_holes(fd: &impl AsFd) -> bool {
    kind(fd).is_some_and(|kind| !TELLS_FALSE_HOLES.contains(&kind))
}
