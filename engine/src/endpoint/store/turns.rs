//! From page to page of a listing, with an end to those that have none.

use crate::error::{EngineError, Kind, Result};
use crate::limits::EMPTY_PAGES_MAX;

use super::verbs::Page;

/// Where a listing is. A service that leads back to where it was, or on and on without telling
/// anything, is found out in the memory of two tokens.
#[derive(Debug, Default)]
pub struct Turns {
    token: Option<String>,
    /// A token that was seen, to be compared with all that follow until twice as many were (Brent's
    /// way to find a circle).
    kept: Option<String>,
    /// Pages since it was kept, and after how many the next one is.
    since: u64,
    until: u64,
    /// Pages in a row that held nothing.
    empty: u64,
}

impl Turns {
    /// Of a listing whose pages were read up to this token.
    #[must_use]
    pub fn after(token: Option<String>) -> Self {
        Self { kept: token.clone(), token, ..Self::default() }
    }

    /// How to ask for the page that is next; `None` for the first.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Takes a page; false when it was the last one.
    ///
    /// # Errors
    /// `RemoteAnswer` for pages that come to no end.
    pub fn go_on(&mut self, page: &Page) -> Result<bool> {
        let is_empty = page.objects.is_empty() && page.prefixes.is_empty();
        self.leads(page.next.as_ref(), is_empty)
    }

    /// As [`Turns::go_on`], by the next token and whether the page told nothing.
    ///
    /// # Errors
    /// `RemoteAnswer` for pages that come to no end.
    pub fn leads(&mut self, next: Option<&String>, is_empty: bool) -> Result<bool> {
        let Some(next) = next else {
            return Ok(false);
        };
        self.empty = if is_empty { self.empty + 1 } else { 0 };
        if self.empty > EMPTY_PAGES_MAX {
            return endless("the listing goes on and tells nothing");
        }
        if self.kept.as_ref() == Some(next) || self.token.as_ref() == Some(next) {
            return endless("the listing goes on where it was before");
        }
        self.since += 1;
        if self.since > self.until {
            (self.kept, self.since, self.until) = (Some(next.clone()), 0, self.until * 2 + 1);
        }
        self.token = Some(next.clone());
        Ok(true)
    }
}

fn endless<T>(why: &str) -> Result<T> {
    Err(EngineError::new(Kind::RemoteAnswer, why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::verbs::Object;
    use super::*;

    fn page(next: Option<String>, objects: usize) -> Page {
        Page { objects: vec![Object::default(); objects], prefixes: Vec::new(), next }
    }

    /// Pages until a listing of these tokens is given up.
    fn given_up(most: u64, token: impl Fn(u64) -> u64, objects: usize) -> Option<u64> {
        let mut turns = Turns::default();
        (0..most).find(|at| turns.go_on(&page(Some(format!("t{}", token(*at))), objects)).is_err())
    }

    #[test]
    fn circles_of_any_length_are_found_wherever_they_begin() {
        for length in 1..40 {
            for begin in 0..20 {
                let token = |at: u64| if at < begin { 1000 + at } else { (at - begin) % length };
                let found = given_up(1000, token, 1).unwrap();
                assert!(found >= begin + length - 1 && found < 4 * (begin + length) + 4, "{found}");
            }
        }
    }

    #[test]
    fn a_listing_ends_or_goes_on_as_long_as_it_tells_something() {
        assert_eq!(given_up(10 * EMPTY_PAGES_MAX, |at| at, 1), None);
        assert_eq!(given_up(10 * EMPTY_PAGES_MAX, |at| at, 0), Some(EMPTY_PAGES_MAX));
        let mut uploads = Turns::default();
        let mut leads = |at: u64| uploads.leads(Some(&format!("t{at}")), at > 0);
        assert_eq!(
            (0..10 * EMPTY_PAGES_MAX).find(|at| leads(*at).is_err()),
            Some(EMPTY_PAGES_MAX + 1)
        );
        let mut turns = Turns::after(Some("a".to_owned()));
        assert_eq!(turns.token(), Some("a"));
        assert!(turns.go_on(&page(Some("b".to_owned()), 0)).unwrap());
        assert_eq!(turns.token(), Some("b"));
        assert!(!turns.go_on(&page(None, 1)).unwrap());
        assert!(Turns::after(Some("a".to_owned())).go_on(&page(Some("a".to_owned()), 1)).is_err());
    }
}
