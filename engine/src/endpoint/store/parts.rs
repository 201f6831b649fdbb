//! How long the parts of an object are.

use crate::limits::PART_BYTES;

use super::verbs::Rules;

/// Parts that memory should hold at once where that can be had.
const AT_ONCE: u64 = 4;

/// The length of all parts but the last: as asked, or [`PART_BYTES`], or less where few of them
/// would fit `memory`; longer where an object of so many bytes would have too many.
pub(super) fn part_bytes(rules: &Rules, asked: Option<u64>, memory: u64, bytes: u64) -> u64 {
    let least = bytes.div_ceil(rules.parts_max.max(1)).max(rules.part_bytes_min);
    let fits = if memory == 0 { PART_BYTES } else { PART_BYTES.min(memory / AT_ONCE) };
    let wanted = asked.unwrap_or(fits).max(least);
    // Whole mebibytes, as people and tools expect.
    wanted.next_multiple_of(1 << 20).min(rules.part_bytes_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn s3() -> Rules {
        Rules {
            part_bytes_min: 5 * MIB,
            part_bytes_max: 5 << 30,
            parts_max: 10_000,
            put_bytes_max: 5 << 30,
            object_bytes_max: 10_000 * (5 << 30),
            copy_bytes_max: 5 << 30,
            key_bytes_max: 1024,
            parallel_parts: true,
            checksum: None,
            checks_whole: false,
            creates_only: true,
            replaces_only: true,
            removes_only: true,
            lists: true,
            leaves_objects: false,
            modified_step_ns: 1,
        }
    }

    #[test]
    fn no_object_has_more_parts_than_its_store_takes() {
        let rules = s3();
        for bytes in [0, 1, 80_000 * MIB, 80_001 * MIB, 1 << 40, rules.object_bytes_max] {
            let part = part_bytes(&rules, None, 0, bytes);
            assert!(bytes.div_ceil(part) <= rules.parts_max, "{bytes}");
            assert!((rules.part_bytes_min..=rules.part_bytes_max).contains(&part));
        }
        assert_eq!(part_bytes(&rules, None, 0, 1 << 30), 8 * MIB);
        assert_eq!(part_bytes(&rules, None, 16 * MIB, 1 << 30), 5 * MIB);
        assert_eq!(part_bytes(&rules, Some(6 * MIB + 1), 0, 1 << 30), 7 * MIB);
        assert_eq!(part_bytes(&rules, Some(64 * MIB), 16 * MIB, 1 << 30), 64 * MIB);
    }
}
