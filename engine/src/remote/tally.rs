//! How many of two kinds there were lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Counts good and bad things over the last so many cells of time.
#[derive(Debug)]
pub(super) struct Tally {
    width: Duration,
    cells: usize,
    /// Begin of each cell, good things, bad things; the newest last.
    counts: VecDeque<(Instant, u32, u32)>,
}

impl Tally {
    pub(super) fn new(cells: usize, width: Duration) -> Self {
        Self { width, cells, counts: VecDeque::new() }
    }

    /// Counts one.
    pub(super) fn add(&mut self, now: Instant, good: bool) {
        match self.counts.back_mut() {
            Some((begun, ..)) if now.saturating_duration_since(*begun) < self.width => {}
            _ => self.counts.push_back((now, 0, 0)),
        }
        if self.counts.len() > self.cells + 1 {
            self.counts.pop_front();
        }
        if let Some((_, goods, bads)) = self.counts.back_mut() {
            *if good { goods } else { bads } += 1;
        }
    }

    /// Good and bad things of the time counted.
    pub(super) fn sum(&self, now: Instant) -> (u32, u32) {
        let span = self.width * u32::try_from(self.cells).unwrap_or(u32::MAX);
        let fresh =
            |(begun, ..): &&(Instant, u32, u32)| now.saturating_duration_since(*begun) < span;
        let add = |sum: (u32, u32), cell: &(Instant, u32, u32)| (sum.0 + cell.1, sum.1 + cell.2);
        self.counts.iter().filter(fresh).fold((0, 0), add)
    }

    /// How far back the counts reach, at most the time counted.
    pub(super) fn reach(&self, now: Instant) -> Duration {
        let span = self.width * u32::try_from(self.cells).unwrap_or(u32::MAX);
        let first = self.counts.front().map(|(begun, ..)| now.saturating_duration_since(*begun));
        first.unwrap_or_default().min(span)
    }

    pub(super) fn clear(&mut self) {
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_is_not_counted() {
        let (mut tally, start) = (Tally::new(3, Duration::from_secs(1)), Instant::now());
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        for (seconds, good) in [(0.0, true), (0.5, false), (1.2, true), (2.4, true)] {
            tally.add(at(seconds), good);
        }
        assert_eq!(tally.sum(at(2.5)), (3, 1));
        assert_eq!(tally.sum(at(3.1)), (2, 0));
        assert_eq!(tally.sum(at(9.0)), (0, 0));
    }
}
