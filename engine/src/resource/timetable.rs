//! Which bounds hold at a time of the week.

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A change of one bound: `None` leaves it, `Some(None)` lifts it.
pub type Change = Option<Option<u64>>;

/// Bounds that an entry sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes each second.
    pub bytes: Change,
    /// Operations each second.
    pub ops: Change,
    /// Rows each second.
    pub rows: Change,
}

/// Entries by the minute of the week when they begin, counted from Monday's midnight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timetable(Vec<(u16, Bounds)>);

impl Timetable {
    /// From entries of a minute of the day, the days (0 is Monday; none means all), and bounds. Of
    /// two that begin at once the later in the list holds.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = (u16, Vec<u16>, Bounds)>) -> Self {
        let mut all = Vec::new();
        for (minute, days, bounds) in entries {
            let days = if days.is_empty() { (0..7).collect() } else { days };
            all.extend(days.iter().map(|day| (day * DAY_MINUTES + minute, bounds)));
        }
        all.sort_by_key(|(start, _)| *start);
        Self(all)
    }

    /// Whether it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bounds of the entry that began last, this week or the one before.
    #[must_use]
    pub fn at(&self, minute: u16) -> Bounds {
        let begun = self.0.iter().rev().find(|(start, _)| *start <= minute);
        begun.or(self.0.last()).map(|(_, bounds)| *bounds).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(bytes: u64) -> Bounds {
        Bounds { bytes: Some(Some(bytes)), ops: None, rows: None }
    }

    fn minute(day: u16, hour: u16, minute: u16) -> u16 {
        day * DAY_MINUTES + hour * 60 + minute
    }

    #[test]
    fn the_entry_that_began_last_holds_across_midnight_and_the_week() {
        let table = Timetable::new([
            (8 * 60, vec![0, 1, 2, 3, 4], bounds(1)),
            (18 * 60 + 30, vec![], bounds(2)),
            (8 * 60, vec![5], bounds(3)),
        ]);
        let at = |day, hour, min| table.at(minute(day, hour, min)).bytes.unwrap().unwrap();
        assert_eq!(at(0, 7, 59), 2, "Sunday's evening lasts until Monday's morning");
        assert_eq!(at(0, 8, 0), 1);
        assert_eq!((at(0, 18, 29), at(0, 18, 30), at(0, 23, 59), at(1, 0, 0)), (1, 2, 2, 2));
        assert_eq!((at(5, 8, 0), at(5, 18, 30), at(6, 12, 0)), (3, 2, 2));
        assert_eq!(Timetable::default().at(0), Bounds::default());
    }

    #[test]
    fn of_two_that_begin_at_once_the_later_holds() {
        let table = Timetable::new([(60, vec![], bounds(1)), (60, vec![2], bounds(2))]);
        assert_eq!(table.at(minute(2, 1, 0)), bounds(2));
        assert_eq!(table.at(minute(3, 1, 0)), bounds(1));
    }
}
