//! The rates of a job or of the whole engine: bounds that are set, and a timetable over them.

use std::sync::{Mutex, PoisonError};

use crate::resource::limiter::Limiter;
use crate::resource::timetable::{Change, Timetable};

/// Rates in force.
#[derive(Debug, Default)]
pub struct Rates {
    /// Bytes read from sources each second.
    pub bytes: Limiter,
    /// Items begun each second.
    pub ops: Limiter,
    /// Rows of tables copied each second.
    pub rows: Limiter,
    set: Mutex<Set>,
}

/// What was set.
#[derive(Debug, Default)]
struct Set {
    bytes: Option<u64>,
    ops: Option<u64>,
    rows: Option<u64>,
    timetable: Timetable,
}

/// A change of what is set; `None` leaves.
#[derive(Clone, Debug, Default)]
pub struct RateChange {
    /// Bytes each second.
    pub bytes: Change,
    /// Operations each second.
    pub ops: Change,
    /// Rows each second.
    pub rows: Change,
    /// The whole timetable; an empty one lifts it.
    pub timetable: Option<Timetable>,
}

impl Rates {
    /// Changes what is set, at this minute of the week.
    pub fn change(&self, change: RateChange, minute: u16) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.bytes = change.bytes.unwrap_or(set.bytes);
        set.ops = change.ops.unwrap_or(set.ops);
        set.rows = change.rows.unwrap_or(set.rows);
        if let Some(timetable) = change.timetable {
            set.timetable = timetable;
        }
        self.apply(&set, minute);
    }

    /// Puts the bounds of this minute of the week in force.
    pub fn tick(&self, minute: u16) {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if !set.timetable.is_empty() {
            self.apply(&set, minute);
        }
    }

    fn apply(&self, set: &Set, minute: u16) {
        let now = set.timetable.at(minute);
        for (limiter, rate) in [
            (&self.bytes, now.bytes.unwrap_or(set.bytes)),
            (&self.ops, now.ops.unwrap_or(set.ops)),
            (&self.rows, now.rows.unwrap_or(set.rows)),
        ] {
            // Setting a rate forgets what was taken ahead of it.
            if limiter.rate() != rate {
                limiter.set(rate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::timetable::Bounds;

    #[test]
    fn entries_go_over_what_is_set_and_leave_what_they_do_not_name() {
        let rates = Rates::default();
        let night = Bounds { bytes: Some(None), ..Bounds::default() };
        let day = Bounds { bytes: Some(Some(5)), ops: Some(Some(7)), rows: None };
        let timetable = Timetable::new([(60, vec![], night), (120, vec![], day)]);
        let (bytes, ops) = (Some(Some(1)), Some(Some(2)));
        let change = RateChange { bytes, ops, rows: None, timetable: Some(timetable) };
        rates.change(change, 60);
        let in_force = || (rates.bytes.rate(), rates.ops.rate());
        assert_eq!(in_force(), (None, Some(2)));
        rates.tick(120);
        assert_eq!(in_force(), (Some(5), Some(7)));
        rates.change(RateChange { ops: Some(None), ..RateChange::default() }, 120);
        assert_eq!(in_force(), (Some(5), Some(7)), "the entry goes over it");
        rates.tick(60);
        assert_eq!(in_force(), (None, None));
        rates.change(
            RateChange { timetable: Some(Timetable::default()), ..RateChange::default() },
            60,
        );
        assert_eq!(in_force(), (Some(1), None));
        rates.tick(120);
        assert_eq!(in_force(), (Some(1), None));
    }
}
