//! How an object is cut into parts: all of one length where its own is known, longer and longer
//! where it is not, so that no count of parts ends it early.

use std::ops::Range;

use crate::error::{EngineError, Kind};
use crate::limits::PART_BYTES;

use super::verbs::Rules;

/// Parts that memory should hold at once where that can be had.
const AT_ONCE: u64 = 4;

/// How often parts may become longer within the count that a store takes. So few that the parts of
/// 100 GiB are 128 MiB long, so many that more than half of the largest object can be reached from
/// [`PART_BYTES`] on.
const STEPS: u64 = 20;

/// The length of the parts of what has no known length, where all must be equal: none can follow
/// the last one that the store takes.
const EQUAL_BYTES: u64 = 8 * PART_BYTES;

/// The length of all parts but the last: as asked, or [`PART_BYTES`], or less where few of them
/// would fit `memory`; longer where an object of so many bytes would have too many. No bytes stand
/// for a length that is not known.
pub(super) fn part_bytes(rules: &Rules, asked: Option<u64>, memory: u64, bytes: u64) -> u64 {
    let least = bytes.div_ceil(rules.parts_max.max(1)).max(rules.part_bytes_min);
    let usual = if bytes == 0 && rules.equal_parts { EQUAL_BYTES } else { PART_BYTES };
    let fits = if memory == 0 { usual } else { usual.min(memory / AT_ONCE) };
    let wanted = asked.unwrap_or(fits).max(least);
    // Whole mebibytes, as people and tools expect.
    wanted.next_multiple_of(1 << 20).min(rules.part_bytes_max)
}

/// Parts of one length behind each other.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Its first part.
    index: u64,
    /// Where that begins.
    offset: u64,
    /// Bytes of each.
    length: u64,
}

/// Where the parts of one object lie.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// In order; each goes on until the next one begins.
    runs: Vec<Run>,
    /// The length of the first parts before any became longer.
    first: u64,
    /// After how many parts they should be twice as long; `None` where all are equal.
    step: Option<u64>,
    /// The longest that a part becomes.
    longest: u64,
    /// Most parts.
    parts_max: u64,
}

impl Cut {
    /// Parts of one length.
    pub(super) fn equal(rules: &Rules, length: u64) -> Self {
        let first = length.max(1);
        let runs = vec![Run { index: 0, offset: 0, length: first }];
        Self { runs, first, step: None, longest: first, parts_max: rules.parts_max }
    }

    /// Parts of `first` bytes that may become longer, up to half of `memory` where that is known;
    /// of one length where the store takes no others.
    pub(super) fn growing(rules: &Rules, first: u64, memory: u64) -> Self {
        let held = if memory == 0 { u64::MAX } else { (memory / 2).max(first) };
        let longest = rules.part_bytes_max.min(held).max(first);
        let step = (!rules.equal_parts).then(|| (rules.parts_max / STEPS).max(1));
        Self { step, longest, ..Self::equal(rules, first) }
    }

    /// The length of the first parts: of all where they are equal.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The range of a part, as if the object went on behind it; `None` where the store takes no
    /// such part.
    pub(super) fn range(&self, index: u64) -> Option<Range<u64>> {
        let run = self.runs.iter().rev().find(|run| run.index <= index)?;
        let start = (index - run.index).checked_mul(run.length)?.checked_add(run.offset)?;
        (index < self.parts_max).then_some(start..start.checked_add(run.length)?)
    }

    /// The part that begins at `offset`; `None` where none does.
    pub(super) fn index(&self, offset: u64) -> Option<u32> {
        let run = self.run_at(offset)?;
        let index = run.index + (offset - run.offset) / run.length;
        let begins = self.range(index).is_some_and(|range| range.start == offset);
        begins.then(|| u32::try_from(index).ok()).flatten()
    }

    /// How many parts an object of so many bytes has.
    pub(super) fn count(&self, size: u64) -> u64 {
        let Some(last) = size.checked_sub(1) else {
            return 0;
        };
        self.run_at(last).map_or(0, |run| run.index + (last - run.offset) / run.length + 1)
    }

    /// How long parts from `offset` on should be, where they should be longer than they are.
    pub(super) fn wanted(&self, offset: u64) -> Option<u64> {
        let index = u64::from(self.index(offset)?);
        let doublings = u32::try_from(index / self.step?).ok()?;
        let wanted = self.first.saturating_mul(1u64.checked_shl(doublings)?).min(self.longest);
        self.range(index).filter(|now| now.end - now.start < wanted).map(|_| wanted)
    }

    /// Makes the parts from the one at `offset` on so long; those that were written are not there
    /// any more.
    pub(super) fn lengthen(&mut self, offset: u64, length: u64) {
        let Some(index) = self.index(offset).map(u64::from) else {
            return;
        };
        self.runs.retain(|run| run.index < index);
        if self.runs.last().is_none_or(|last| last.length != length) {
            self.runs.push(Run { index, offset, length });
        }
    }

    /// Why nothing can be written at `offset`.
    pub(super) fn refusal(&self, offset: u64) -> EngineError {
        let last = self.parts_max.checked_sub(1).and_then(|last| self.range(last));
        let Some(last) = last.filter(|last| offset >= last.end) else {
            return EngineError::new(Kind::Internal, "not the beginning of a part").offset(offset);
        };
        let most = self.parts_max;
        let length = last.end - last.start;
        let message = format!(
            "the store takes {most} parts, which end at {} bytes, the last of {length}",
            last.end
        );
        // Longer ones were wanted, and no memory was free for them.
        let short = self.step.is_some() && length < self.longest;
        let kind = if short { Kind::Memory } else { Kind::DestinationWrite };
        EngineError::new(kind, message).offset(offset).hint(
            "give the location a larger part_bytes, and raise --memory-cap as far as it needs",
        )
    }

    fn run_at(&self, offset: u64) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.offset <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            equal_parts: false,
            doubles: true,
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

    /// Goes through the parts of an object of `size` bytes as a stream does, longer ones being had
    /// where `had` says so: their ranges.
    fn streamed(cut: &mut Cut, size: u64, had: impl Fn(u64) -> bool) -> Vec<Range<u64>> {
        let (mut ranges, mut at) = (Vec::new(), 0);
        while at < size {
            if let Some(wanted) = cut.wanted(at).filter(|_| had(at)) {
                cut.lengthen(at, wanted);
            }
            let Some(range) = cut.index(at).and_then(|index| cut.range(u64::from(index))) else {
                break;
            };
            at = range.end;
            ranges.push(range);
        }
        ranges
    }

    proptest! {
        #[test]
        fn ranges_tile_the_object_within_the_bounds_of_the_store(
            first in 1u64..100, longest in 1u64..5000, parts_max in 1u64..300,
            size in 1u64..1_000_000, memory in 0u64..5000, seed in any::<u64>(), equal in any::<bool>()
        ) {
            let rules = Rules {
                part_bytes_min: 1, part_bytes_max: longest.max(first), parts_max, equal_parts: equal,
                ..s3()
            };
            let had = |at: u64| !(seed ^ at.wrapping_mul(0x9e37_79b9)).is_multiple_of(3);
            let mut cut = Cut::growing(&rules, first, memory);
            let ranges = streamed(&mut cut, size, had);
            prop_assert!(ranges.len() as u64 <= parts_max);
            let mut end = 0;
            for (index, range) in ranges.iter().enumerate() {
                prop_assert_eq!(range.start, end);
                end = range.end;
                let length = range.end - range.start;
                prop_assert!((first..=rules.part_bytes_max).contains(&length));
                prop_assert!(length == first || (!equal && (memory == 0 || length <= memory / 2)));
                // What was told of a part holds when all of them are known.
                prop_assert_eq!(cut.range(index as u64), Some(range.clone()));
                prop_assert_eq!(cut.index(range.start), Some(index as u32));
                prop_assert_eq!(cut.count(range.start + 1), index as u64 + 1);
                prop_assert_eq!(cut.count(range.end), index as u64 + 1);
                prop_assert!(length == 1 || cut.index(range.start + 1).is_none());
            }
            prop_assert!(end >= size || ranges.len() as u64 == parts_max);
            if end < size {
                prop_assert!(cut.refusal(end).kind() != Kind::Internal);
            }
        }
    }

    #[test]
    fn parts_of_a_stream_grow_until_most_of_the_largest_object_is_reached() {
        let azure = Rules { part_bytes_max: 4000 * MIB, parts_max: 50_000, ..s3() };
        for rules in [s3(), azure] {
            let mut cut = Cut::growing(&rules, part_bytes(&rules, None, 0, 0), 0);
            let ranges = streamed(&mut cut, u64::MAX, |_| true);
            assert_eq!(ranges.len() as u64, rules.parts_max);
            let end = ranges.last().unwrap().end;
            assert!(end > rules.parts_max * rules.part_bytes_max / 2, "{end}");
            let small: Vec<_> = ranges.iter().filter(|range| range.start < 100 << 30).collect();
            assert!(small.iter().all(|range| range.end - range.start <= 128 * MIB));
            assert_eq!(cut.refusal(end).kind(), Kind::DestinationWrite);
        }
    }

    #[test]
    fn without_memory_for_longer_parts_there_are_as_many_as_the_store_takes() {
        let rules = s3();
        let mut cut = Cut::growing(&rules, 8 * MIB, 0);
        let ranges = streamed(&mut cut, u64::MAX, |_| false);
        assert_eq!(ranges.last().unwrap().end, 10_000 * 8 * MIB);
        assert_eq!(cut.refusal(10_000 * 8 * MIB).kind(), Kind::Memory);
        assert_eq!(cut.refusal(MIB).kind(), Kind::Internal);
    }

    #[test]
    fn where_all_parts_must_be_equal_those_of_a_stream_are_long_from_the_start() {
        let rules = Rules { equal_parts: true, ..s3() };
        assert_eq!(part_bytes(&rules, None, 0, 1), 8 * MIB);
        let first = part_bytes(&rules, None, 0, 0);
        assert_eq!(first, 64 * MIB);
        let mut cut = Cut::growing(&rules, first, 0);
        let ranges = streamed(&mut cut, u64::MAX, |_| true);
        assert!(ranges.iter().all(|range| range.end - range.start == first));
        assert_eq!(cut.refusal(10_000 * first).kind(), Kind::DestinationWrite);
    }
}
