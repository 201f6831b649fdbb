//! How fast a job goes, and how long it will take: counters → progress events.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use migration_protocol::event::{Active, Network, Progress, Throttled};
use migration_protocol::message::Id;
use migration_protocol::vocabulary::BytePath;

use crate::job::Job;
use crate::progress::{self, Spent};

/// Time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// Longest silence of a running job.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Share of time below which a limit is not worth naming.
const THROTTLED_MIN: f64 = 0.01;

/// What was seen of a job so far.
#[derive(Debug, Default)]
pub struct Pace {
    samples: VecDeque<(Instant, u64)>,
    last: Option<Instant>,
    last_counts: (u64, u64, u64),
    spent: (Duration, Duration),
}

impl Pace {
    /// Looks at a job; a progress event when it is time for one.
    pub fn look(
        &mut self,
        id: &Id,
        job: &Job,
        started: Instant,
        every: Duration,
    ) -> Option<Progress> {
        let now = Instant::now();
        let since = now.duration_since(self.last.unwrap_or(started));
        if since < every {
            return None;
        }
        let progress = &job.progress;
        let handled = progress.bytes_done.load(Relaxed) + progress.bytes_skipped.load(Relaxed);
        let bytes = handled.saturating_sub(progress.bytes_redone.load(Relaxed));
        let counts = (bytes, progress.items_done(), progress.items_total.load(Relaxed));
        if counts == self.last_counts && since < SILENCE_MAX {
            return None;
        }
        self.last = Some(now);
        self.last_counts = counts;
        self.samples.push_back((now, bytes));
        while self.samples.len() > 2 && self.samples.front().is_some_and(|s| now - s.0 > WINDOW) {
            self.samples.pop_front();
        }
        Some(self.event(id, job, started, now, counts))
    }

    fn event(
        &mut self,
        id: &Id,
        job: &Job,
        started: Instant,
        now: Instant,
        (bytes, items, items_total): (u64, u64, u64),
    ) -> Progress {
        let progress = &job.progress;
        let surveyed = progress.surveyed.load(Acquire);
        let total = progress.bytes_total.load(Relaxed).max(bytes);
        let elapsed = now.duration_since(started);
        let average = per_s(bytes, elapsed);
        let (first_at, first_bytes) = match self.samples.front() {
            Some(first) if first.0 < now => *first,
            _ => (started, 0),
        };
        let rate = per_s(bytes.saturating_sub(first_bytes), now.duration_since(first_at));
        Progress {
            id: id.clone(),
            phase: progress.phase().to_owned(),
            bytes_done: bytes,
            bytes_total: Some(total),
            total_is_estimate: !surveyed,
            items_done: items,
            items_total: Some(items_total),
            bytes_per_s: rate,
            bytes_per_s_avg: average,
            eta_s: eta(total - bytes, rate, surveyed),
            elapsed_ms: elapsed.as_millis() as u64,
            retries: progress.retries.load(Relaxed),
            errors: progress.items_failed.load(Relaxed),
            throttled: self.throttled(job),
            network: network(job),
            active: progress.active().iter().map(|item| active(item)).collect(),
        }
    }

    /// The limit that held the workers back since the last look.
    fn throttled(&mut self, job: &Job) -> Option<Throttled> {
        let all = [
            Spent::SourceRead,
            Spent::Hash,
            Spent::Compress,
            Spent::Throttle,
            Spent::DestinationWrite,
            Spent::Sync,
        ];
        let waited = job.progress.spent(Spent::Throttle);
        let worked: Duration = all.iter().map(|on| job.progress.spent(*on)).sum();
        let (waited_before, worked_before) = std::mem::replace(&mut self.spent, (waited, worked));
        let share = |part: Duration, whole: Duration| {
            if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
        };
        let ratio = share(waited - waited_before, worked - worked_before);
        let limits = [&job.rates, &job.engine.rates];
        let bytes = limits.iter().filter_map(|rates| rates.bytes.rate()).min();
        let ops = limits.iter().any(|rates| rates.ops.rate().is_some());
        let rows = limits.iter().any(|rates| rates.rows.rate().is_some());
        let by = if job.switch.is_paused() {
            "pause"
        } else if job.progress.lagging.load(Relaxed) {
            "replica_lag"
        } else if ratio <= THROTTLED_MIN {
            return None;
        } else {
            match (bytes, rows, ops) {
                (Some(_), _, _) => "bytes_per_s",
                (None, true, _) => "rows_per_s",
                (None, false, true) => "ops_per_s",
                _ => return None,
            }
        };
        let ratio = if by == "pause" { 1.0 } else { (ratio * 1000.0).round() / 1000.0 };
        Some(Throttled { by: by.to_owned(), ratio, bytes_per_s_limit: bytes })
    }
}

fn per_s(bytes: u64, time: Duration) -> u64 {
    (bytes as f64 / time.as_secs_f64().max(1e-3)) as u64
}

/// Seconds left; none while the total still grows or nothing moves.
fn eta(left: u64, rate: u64, surveyed: bool) -> Option<f64> {
    (surveyed && rate > 0).then(|| (left as f64 / rate as f64 * 10.0).round() / 10.0)
}

fn active(item: &progress::Active) -> Active {
    Active {
        path: BytePath::new(&item.path),
        bytes_done: item.bytes_done.load(Relaxed),
        bytes_total: Some(item.bytes_total),
    }
}
/// Requests of a job to services; `None` for one that made none.
fn network(job: &Job) -> Option<Network> {
    use std::sync::atomic::Ordering::Relaxed;
    let meter = &job.ties.meter;
    let requests = meter.requests.load(Relaxed);
    (requests > 0).then(|| Network {
        requests,
        in_flight: meter.in_flight.load(Relaxed),
        allowed: meter.allowed.load(Relaxed),
        slowed: meter.slowed.load(Relaxed),
    })
}
