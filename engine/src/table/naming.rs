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

    /// One for the indexes of these tables.
    #[must_use]
    pub fn of_indexes<'a>(rules: NameRules, tables: impl Iterator<Item = &'a str>) -> Self {
        let mut namer = Self::new(NameRules { file_most: None, ..rules });
        let taken: Vec<String> =
            tables.filter(|_| rules.indexes_share).map(|name| namer.folded(name)).collect();
        namer.given.extend(taken);
        if rules.plain {
            namer.given.insert(namer.folded("PRIMARY"));
        }
        namer
    }

    /// The name that stands for `name`: the same one wherever that is possible, otherwise its
    /// beginning and a digest of the whole, which is the same in every run.
    pub fn name(&mut self, name: &str) -> String {
        if self.fits(name) && self.given.insert(self.folded(name)) {
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

    fn fits(&self, name: &str) -> bool {
        let is_plain = !name.ends_with(is_white) && name.chars().all(in_plane);
        self.excess(name, 0) == 0
            && !name.contains('\0')
            && !self.is_own(name)
            && (is_plain || !self.rules.plain)
    }

    /// By how much a name is too long when `more` is to follow.
    fn excess(&self, name: &str, more: usize) -> usize {
        let file =
            self.rules.file_most.map_or(0, |most| (file_bytes(name) + more).saturating_sub(most));
        file.max((self.length(name) + more).saturating_sub(self.rules.most))
    }

    fn is_own(&self, name: &str) -> bool {
        !self.rules.own.is_empty() && name.to_lowercase().starts_with(self.rules.own)
    }

    fn cut(&self, name: &str) -> String {
        let mut kept = if self.is_own(name) { "_".to_owned() } else { String::new() };
        let taken = |char: &char| *char != '\0' && (in_plane(*char) || !self.rules.plain);
        for char in name.chars().filter(taken) {
            kept.push(char);
            if self.excess(&kept, TAG + 1) > 0 {
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

fn is_white(char: char) -> bool {
    matches!(char, '\t'..='\r' | ' ')
}

fn in_plane(char: char) -> bool {
    u32::from(char) < 0x1_0000
}

/// Bytes of a table's name as that of a file.
fn file_bytes(name: &str) -> usize {
    let bytes = |char: char| if char.is_ascii_alphanumeric() || char == '_' { 1 } else { 5 };
    name.chars().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namer(most: usize, folds_case: bool) -> Namer {
        Namer::new(NameRules {
            most,
            bytes: true,
            folds_case,
            folds_tables: folds_case,
            schemas: false,
            indexes_share: true,
            plain: false,
            file_most: None,
            own: "own_",
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

    #[test]
    fn names_that_no_file_of_mysql_may_have_are_others() {
        let rules = NameRules { plain: true, file_most: Some(250), ..namer(64, true).rules };
        let mut names = Namer::new(NameRules { bytes: false, ..rules });
        for odd in [" ", "a\t", "x😀y", "日".repeat(51).as_str()] {
            let made = names.name(odd);
            assert!(made != odd && names.fits(&made), "{odd:?}: {made:?}");
        }
        for plain in ["日".repeat(50).as_str(), " a", "é\u{301}", "primary"] {
            assert_eq!(names.name(plain), plain);
        }
        let mut parts = Namer::new(NameRules { bytes: false, ..rules }.of_parts());
        assert_eq!(parts.name(&"日".repeat(64)), "日".repeat(64));
        assert_eq!(names.renamed.len(), 4);
    }

    #[test]
    fn names_that_are_taken_by_the_engine_or_a_table_are_others() {
        let mut names = namer(63, true);
        let made = names.name("Own_x");
        assert!(made.starts_with("_Own_x_"), "{made}");
        assert_eq!(Namer::new(names.rules.of_parts()).name("Own_x"), "Own_x");
        let mut indexes = Namer::of_indexes(names.rules, ["t"].into_iter());
        assert_ne!(indexes.name("T"), "T");
        let mut indexes = Namer::of_indexes(
            NameRules { plain: true, indexes_share: false, ..names.rules },
            ["t"].into_iter(),
        );
        assert_eq!(indexes.name("t"), "t");
        assert_ne!(indexes.name("Primary"), "Primary");
    }
}
