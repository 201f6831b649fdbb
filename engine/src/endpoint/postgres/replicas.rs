//! How far replicas are behind: as the server measures it, and as we do by where its log stood when. A
//! replica that stands still is measured by us alone: the server tells of what it carried out last.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::session::Session;
use crate::endpoint::postgres::sink::Sink;
use crate::endpoint::rows::Replicas;
use crate::error::{EngineError, Kind, Result};
use crate::remote::call::Side;

/// Places of the log that are remembered: every second of an hour.
const MARKS_MAX: usize = 3600;
/// Where the log stands; the replicas, those that the account is not shown, the seconds that the server
/// measures, and the place that all of them have carried out. A copy being taken is no replica.
const QUERY: &str = "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0'), \
    count(*) FILTER (WHERE state IS NULL), \
    coalesce(max(extract(epoch FROM replay_lag)), 0)::float8, \
    coalesce(min(pg_catalog.pg_wal_lsn_diff(replay_lsn, '0/0')), -1) \
    FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup'";

/// Watches the replicas of a server.
pub(super) struct Watch {
    session: Session,
    marks: Marks,
}

/// What the server told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    /// Where the log stands.
    now: i128,
    /// Replicas that are not shown.
    hidden: u64,
    /// Seconds as the server measures them.
    seconds: f64,
    /// What all replicas have carried out; negative without replicas.
    done: i128,
}

impl Watch {
    /// Connects and looks once.
    ///
    /// # Errors
    /// As [`crate::endpoint::rows::TableSink::replicas`].
    pub(super) fn new(sink: &Sink) -> Result<Self> {
        let mut watch = Self { session: sink.session()?, marks: Marks::default() };
        watch.behind()?;
        Ok(watch)
    }

    fn told(&mut self) -> Done<Told> {
        let rows = self.session.query(QUERY)?;
        let Some(row) = rows.first() else { return Ok(Told { done: -1, ..Told::default() }) };
        Ok(Told {
            now: row.number(0).unwrap_or(0),
            hidden: row.number(1).unwrap_or(0),
            seconds: row.number(2).unwrap_or(0.0),
            done: row.number(3).unwrap_or(-1),
        })
    }
}

impl Replicas for Watch {
    fn behind(&mut self) -> Result<Duration> {
        let told = self.told();
        let told =
            told.map_err(|fault| fault.error(Side::Destination, "failed to ask for the replicas"))?;
        if told.hidden > 0 {
            let message = "the account is not shown how far the replicas are";
            let error = EngineError::new(Kind::DatabasePermission, message);
            return Err(error.hint("GRANT pg_monitor TO the account"));
        }
        Ok(self.marks.behind(told, Instant::now()))
    }
}

/// Where the log stood when.
#[derive(Debug, Default)]
struct Marks(VecDeque<(Instant, i128)>);

impl Marks {
    fn behind(&mut self, told: Told, now: Instant) -> Duration {
        if self.0.back().is_none_or(|(_, place)| *place < told.now) {
            if self.0.len() >= MARKS_MAX {
                self.0.pop_front();
            }
            self.0.push_back((now, told.now));
        }
        if told.done < 0 {
            return Duration::ZERO;
        }
        while self.0.front().is_some_and(|(_, place)| *place <= told.done) {
            self.0.pop_front();
        }
        let ours = self.0.front().map_or(Duration::ZERO, |(when, _)| now.duration_since(*when));
        if told.done >= told.now {
            return Duration::ZERO;
        }
        let measured = Duration::try_from_secs_f64(told.seconds.max(0.0)).unwrap_or_default();
        ours.max(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(now: i128, done: i128, seconds: f64) -> Told {
        Told { now, hidden: 0, seconds, done }
    }

    #[test]
    fn a_replica_that_stands_still_falls_behind_by_the_clock() {
        let (mut marks, start) = (Marks::default(), Instant::now());
        let at = |second: u64| start + Duration::from_secs(second);
        assert_eq!(marks.behind(told(100, 100, 9.0), at(0)), Duration::ZERO, "nothing is left");
        assert_eq!(marks.behind(told(200, 100, 0.0), at(1)), Duration::ZERO, "it is new");
        assert_eq!(marks.behind(told(300, 100, 0.0), at(4)), Duration::from_secs(3));
        assert_eq!(marks.behind(told(300, 100, 0.0), at(9)), Duration::from_secs(8));
        assert_eq!(marks.behind(told(300, 250, 0.0), at(10)), Duration::from_secs(6));
        assert_eq!(marks.behind(told(300, 250, 60.0), at(10)), Duration::from_secs(60));
        assert_eq!(marks.behind(told(300, 300, 60.0), at(11)), Duration::ZERO, "it caught up");
        assert_eq!(marks.behind(told(400, -1, 0.0), at(12)), Duration::ZERO, "there is none");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut marks, now) = (Marks::default(), Instant::now());
        for place in 0..5000 {
            marks.behind(told(place, -1, 0.0), now);
        }
        assert_eq!(marks.0.len(), MARKS_MAX);
    }
}
