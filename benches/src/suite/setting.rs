//! What all suites share.

use std::path::PathBuf;

use super::s3::Sizes;
use crate::cache::Cache;
use crate::tool::Tools;

/// What all suites share.
#[derive(Debug)]
pub struct Setting {
    /// The programs.
    pub tools: Tools,
    /// A directory on the file system to measure, removed at the end.
    pub scratch: PathBuf,
    /// Runs of each contender.
    pub runs: u32,
    /// The page cache before each run.
    pub cache: Cache,
    /// Share of the full size.
    pub scale: f64,
    /// What the S3 suites measure.
    pub s3: Sizes,
    /// What the suites of tables measure.
    pub rows: super::tables::Sizes,
}

impl Setting {
    /// `full`, a number of bytes, files or commands, at this setting's scale; at least 1.
    #[must_use]
    pub fn scaled(&self, full: u64) -> u64 {
        ((full as f64 * self.scale) as u64).max(1)
    }
}
