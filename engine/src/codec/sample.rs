//! Whether a block is worth packing, told by a small part of it.

/// Bytes that are tried, taken from [`SPOTS`] places of a block.
const SAMPLE_BYTES: usize = 64 << 10;
const SPOTS: usize = 4;
/// Blocks shorter than this are packed without a trial: it would cost as much.
const BLOCK_BYTES_MIN: usize = 4 * SAMPLE_BYTES;

/// Puts parts of a block that stand for it into `scratch`; false for one too short to be tried.
pub fn sample(block: &[u8], scratch: &mut Vec<u8>) -> bool {
    if block.len() < BLOCK_BYTES_MIN {
        return false;
    }
    scratch.clear();
    let spot = SAMPLE_BYTES / SPOTS;
    let step = (block.len() - spot) / (SPOTS - 1);
    for index in 0..SPOTS {
        let at = index * step;
        scratch.extend_from_slice(block.get(at..at + spot).unwrap_or_default());
    }
    true
}

/// Whether packing to `stored` bytes saves too little to be worth decoding later: a ratio above
/// 0.97.
pub fn is_futile(stored: usize, plain: usize) -> bool {
    stored as u64 * 100 > plain as u64 * 97
}
