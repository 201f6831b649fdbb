//! Names of sessions and jobs: 16 hex digits, unlike any other's.

use std::hash::{BuildHasher as _, RandomState};

/// Gives names: a random start, then a sequence that visits every 64-bit number once.
#[derive(Debug)]
pub struct Names {
    state: u64,
}

impl Names {
    /// A start of its own, from the system's randomness, the process and the time.
    #[must_use]
    pub fn new() -> Self {
        let mark = (std::process::id(), std::time::SystemTime::now());
        Self { state: RandomState::new().hash_one(mark) }
    }

    /// The next name. The first 8 digits alone tell jobs apart, so the counter is mixed over the
    /// whole word (SplitMix64).
    pub fn make(&mut self) -> String {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", mixed ^ (mixed >> 31))
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}
