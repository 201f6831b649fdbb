//! How many at once: found by trying, again and again, and keeping what moves more.
//!
//! No fixed number is right for a page cache, a spinning disk and a share at the other end of a
//! wire, and none stays right while others use them too. So a step up or down is tried now and
//! then: up is kept when it moves clearly more, down when it moves no less, since fewer at once
//! wait less for each other (each waits shorter, at the same goodput).

/// What a step up must gain to be kept.
const GAIN: f64 = 1.05;
/// What a step down may lose and still be kept.
const LOSS: f64 = 0.97;
/// Rounds between tries once the last ones led nowhere.
const REST_ROUNDS_MAX: u32 = 16;

/// A number between 1 and `most` that follows goodput.
#[derive(Debug)]
pub struct Tuner {
    most: usize,
    now: usize,
    up: bool,
    /// The number and goodput before the step that is being tried.
    before: Option<(usize, f64)>,
    rest: u32,
    pause: u32,
}

impl Tuner {
    /// Begins at `first`.
    #[must_use]
    pub fn new(first: usize, most: usize) -> Self {
        let most = most.max(1);
        Self { most, now: first.clamp(1, most), up: true, before: None, rest: 1, pause: 1 }
    }

    /// The number in force.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now
    }

    /// Takes the goodput of the round that ended, in any unit; answers the number for the next.
    pub fn observe(&mut self, goodput: f64) -> usize {
        match self.before.take() {
            Some((number, before)) => {
                let kept = if self.now > number { GAIN } else { LOSS };
                if goodput >= before * kept {
                    self.pause = 0;
                    self.rest = 1;
                } else {
                    self.now = number;
                    self.up = !self.up;
                    self.pause = self.rest;
                    self.rest = (self.rest * 2).min(REST_ROUNDS_MAX);
                }
            }
            None if self.pause > 0 => self.pause -= 1,
            None => {
                let number = self.now;
                self.now = self.next();
                if self.now != number {
                    self.before = Some((number, goodput));
                }
            }
        }
        self.now
    }

    /// The number to try: a quarter more or less, at the ends the other way.
    fn next(&mut self) -> usize {
        if self.now == self.most {
            self.up = false;
        } else if self.now == 1 {
            self.up = true;
        }
        let step = (self.now / 4).max(1);
        let next = if self.up { self.now + step } else { self.now.saturating_sub(step) };
        next.clamp(1, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean number over the last rounds of a system whose goodput is `of` its number.
    fn settled(tuner: &mut Tuner, rounds: usize, of: impl Fn(usize) -> f64) -> f64 {
        let mut numbers = Vec::new();
        for round in 0..rounds {
            // A little noise, the same in every run.
            let noise = 1.0 + ((round * 7919) % 13) as f64 / 1000.0;
            numbers.push(tuner.observe(of(tuner.now()) * noise) as f64);
        }
        let last = &numbers[rounds / 2..];
        last.iter().sum::<f64>() / last.len() as f64
    }

    #[test]
    fn it_finds_what_moves_most_and_follows_when_that_changes() {
        let grows = |until: usize| move |n: usize| n.min(until) as f64 * 100.0;
        let mut tuner = Tuner::new(2, 32);
        let found = settled(&mut tuner, 400, grows(16));
        assert!((12.0..=20.0).contains(&found), "{found}");
        let found = settled(&mut tuner, 400, grows(3));
        assert!((2.5..=4.5).contains(&found), "{found}");
        let peak = |n: usize| 1000.0 - (n as f64 - 6.0).abs() * 90.0;
        let found = settled(&mut tuner, 400, peak);
        assert!((5.0..=7.5).contains(&found), "{found}");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut tuner = Tuner::new(9, 4);
        let found = settled(&mut tuner, 200, |n| n as f64);
        assert!((3.0..=4.0).contains(&found), "{found}");
        let mut single = Tuner::new(0, 0);
        assert_eq!(settled(&mut single, 50, |n| n as f64), 1.0);
    }
}
