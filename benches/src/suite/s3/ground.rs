//! What comes before and after each run, and is not timed.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Instant;

use super::peers::Task;
use crate::cache;
use crate::measure::Sample;
use crate::race::{self, Ground};
use crate::suite::Setting;
use crate::tool::Contender;

/// Sending: nothing is under the key before; the judge compares sizes and digests after.
pub struct Up<'a> {
    /// The common setting.
    pub setting: &'a Setting,
    /// What is done.
    pub task: &'a Task<'a>,
    /// Bytes sent.
    pub bytes: u64,
}

impl Ground for Up<'_> {
    fn prepare(&self) -> io::Result<()> {
        self.task.server.judge(&["clear"], self.task.key, None)?;
        self.setting.cache.prepare(self.task.place)?;
        cache::warm_memory(self.bytes)
    }

    fn finish(&self, _: &Contender, sample: Sample, _: bool) -> io::Result<Sample> {
        self.task.server.judge(&["same"], self.task.key, Some(self.task.place))?;
        Ok(sample)
    }
}

/// Fetching: nothing is at the target before; it is compared byte by byte after.
pub struct Down<'a> {
    /// The common setting.
    pub setting: &'a Setting,
    /// What is done.
    pub task: &'a Task<'a>,
    /// What the target must equal.
    pub source: &'a Path,
    /// Bytes fetched.
    pub bytes: u64,
}

impl Ground for Down<'_> {
    fn prepare(&self) -> io::Result<()> {
        cache::sync(&self.setting.scratch)?;
        if self.task.place.is_dir() {
            // What is moved aside stays until the end: it must not fill the disk.
            empty(self.task.place)?;
        }
        race::clear(self.setting, self.task.place)?;
        self.setting.cache.prepare(self.source)?;
        cache::warm_memory(self.bytes + self.bytes / 2)
    }

    fn finish(&self, _: &Contender, mut sample: Sample, _: bool) -> io::Result<Sample> {
        let start = Instant::now();
        cache::sync(&self.setting.scratch)?;
        sample.synced = Some(sample.wall + start.elapsed());
        race::verify(self.source, self.task.place)?;
        Ok(sample)
    }
}

fn empty(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return std::fs::read_dir(path)?.try_for_each(|entry| empty(&entry?.path()));
    }
    OpenOptions::new().write(true).truncate(true).open(path).map(drop)
}

/// Listing: what was said holds the number of the keys and the sum of their sizes.
pub struct List<'a> {
    /// The file that takes the standard output.
    pub output: &'a Path,
    /// Keys listed.
    pub keys: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Ground for List<'_> {
    fn prepare(&self) -> io::Result<()> {
        cache::warm_memory(0)?;
        File::create(self.output).map(drop)
    }

    fn finish(&self, _: &Contender, sample: Sample, _: bool) -> io::Result<Sample> {
        let text = std::fs::read_to_string(self.output)?;
        let end: Vec<_> = text.lines().rev().take(3).collect();
        match [self.keys, self.bytes].iter().all(|wanted| says(&end, *wanted)) {
            true => Ok(sample),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "wrong listing")),
        }
    }
}

fn says(lines: &[&str], wanted: u64) -> bool {
    let numbers = lines.iter().flat_map(|line| line.split(|c: char| !c.is_ascii_digit()));
    numbers.filter_map(|digits| digits.parse::<u64>().ok()).any(|found| found == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_whole() {
        assert!(says(&["Total Objects: 100", "Total Size: 4950"], 4950));
        assert!(!says(&["{\"count\":100}"], 10));
    }
}
