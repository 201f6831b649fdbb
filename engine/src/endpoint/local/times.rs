//! How finely a filesystem keeps times.

use crate::platform::dir::Dir;

const S: u64 = 1_000_000_000;

/// Filesystems that keep coarser times than nanoseconds: magic number of `statfs` (`linux/magic.h`
/// and the filesystems' own sources), step in nanoseconds.
const STEPS: [(u64, u64); 12] = [
    (0x0000_4d44, 2 * S),   // FAT: two seconds of a DOS date
    (0x2011_bab0, S / 100), // exFAT: the same with a byte of 10 ms
    (0x0000_4244, S),       // HFS
    (0x0000_482b, S),       // HFS+
    (0x5265_4973, S),       // ReiserFS
    (0x0000_9660, S),       // ISO 9660
    (0x7371_7368, S),       // SquashFS
    (0x1501_3346, 1000),    // UDF
    (0x5346_544e, 100),     // NTFS
    (0x7366_746e, 100),     // NTFS3
    (0xff53_4d42, 100),     // CIFS
    (0xfe53_4d42, 100),     // SMB 2
];
/// ext2, ext3 and ext4 share one number.
const EXT: u64 = 0xef53;

/// Step of modification times in this directory, nanoseconds.
pub fn step_ns(dir: &Dir) -> u64 {
    let Ok(magic) = dir.filesystem() else {
        return 1;
    };
    if magic == EXT {
        // Small inodes have room for neither fractions of a second nor a time of birth.
        let has_fractions = dir.own_facts().is_ok_and(|facts| facts.identity.born.0 != 0);
        return if has_fractions { 1 } else { S };
    }
    STEPS.iter().find(|(known, _)| *known == magic).map_or(1, |(_, step)| *step)
}
