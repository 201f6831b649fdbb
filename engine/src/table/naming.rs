//! Names at a target whose rules are narrower than the source's.

use std::collections::HashSet;

use crate::endpoint::rows::NameRules;

/// Digits of the digest that stands for what was cut off.
const TAG: usize = 8;

/// Gives out names that a target takes, each once.
#[derive(Debug)]
pub struct Namer {
    rules: NameRules,
    given: HashSet<String>,
    /// Names that had to be changed: from, to.
    pub renamed: Vec<(String, String)>,
}

impl Namer {
    /// None given out yet.
    #[must_use]
    pub fn new(rules: NameRules) -> Self {
        Self { rules, given: HashSet::new(), renamed: Vec::new() }
    }

    /// The name that stands for `name`: the same one wherever that is possible, otherwise its
    /// beginning and a digest of the whole, which is the same in every run.
    pub fn name(&mut self, name: &str) -> String {
        let fits = self.length(name) <= self.rules.most && !name.contains('\0');
        if fits && self.given.insert(self.folded(name)) {
            return name.to_owned();
        }
        let mut tries = 0u32;
        loop {
            let digest = blake3::hash(format!("{name}\0{tries}").as_bytes()).to_hex();
            let tag: String = digest.chars().take(TAG).collect();
            let made = format!("{}_{tag}", self.cut(name));
            if self.given.insert(self.folded(&made)) {
                self.renamed.push((name.to_owned(), made.clone()));
                return made;
            }
            tries += 1;
        }
    }

    fn cut(&self, name: &str) -> String {
        let most = self.rules.most.saturating_sub(TAG + 1);
        let mut kept = String::new();
        for char in name.chars().filter(|char| *char != '\0') {
            kept.push(char);
            if self.length(&kept) > most {
                kept.pop();
                break;
            }
        }
        kept
    }

    fn length(&self, name: &str) -> usize {
        if self.rules.bytes { name.len() } else { name.chars().count() }
    }

    fn folded(&self, name: &str) -> String {
        if self.rules.folds_case { name.to_lowercase() } else { name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namer(most: usize, folds_case: bool) -> Namer {
        Namer::new(NameRules {
            most,
            bytes: true,
            folds_case,
            schemas: false,
            indexes_share: false,
        })
    }

    #[test]
    fn long_names_keep_their_beginning_and_stay_apart() {
        let long = |end: &str| format!("{}{end}", "ü".repeat(60));
        let mut names = namer(63, false);
        let (a, b) = (names.name(&long("a")), names.name(&long("b")));
        assert!(a != b && a.len() <= 63 && b.len() <= 63 && a.starts_with("üü"));
        assert_eq!(namer(63, false).name(&long("a")), a);
        assert_eq!(names.name("plain"), "plain");
        assert_eq!(names.renamed.len(), 2);
    }

    #[test]
    fn names_that_differ_by_case_stay_apart_where_that_does_not_count() {
        let mut names = namer(63, true);
        let (a, b) = (names.name("Name"), names.name("NAME"));
        assert!(a == "Name" && b != "NAME" && b.to_lowercase() != "name");
        let mut exact = namer(63, false);
        assert_eq!((exact.name("a"), exact.name("A")), ("a".to_owned(), "A".to_owned()));
    }
}
