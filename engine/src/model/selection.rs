//! Which items are taken: include and exclude globs over their names.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{EngineError, Kind, Result};
use crate::model::path::ItemPath;

/// A compiled choice of items.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Selection {
    /// Compiles the globs; empty lists take everything.
    ///
    /// # Errors
    /// `InvalidField` naming `include` or `exclude` and the pattern's place.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Self { include: compile(include, "include")?, exclude: compile(exclude, "exclude")? })
    }

    /// Whether everything is taken.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether the item of this name is taken.
    #[must_use]
    pub fn takes(&self, path: &ItemPath) -> bool {
        if self.is_all() {
            return true;
        }
        self.include.as_ref().is_none_or(|set| matches_upward(set, path)) && !self.excludes(path)
    }

    /// Whether a thing that goes by these names, as a table with and without its schema, is taken.
    #[must_use]
    pub fn takes_named(&self, names: &[&str]) -> bool {
        let any = |set: &GlobSet| names.iter().any(|name| set.is_match(Path::new(name)));
        self.include.as_ref().is_none_or(any) && !self.exclude.as_ref().is_some_and(any)
    }

    /// Whether a directory of this name, and with it everything below, is left out.
    #[must_use]
    pub fn excludes(&self, path: &ItemPath) -> bool {
        self.exclude.as_ref().is_some_and(|set| matches_upward(set, path))
    }

    /// Whether a directory exists at the destination for its own sake: with `include`, only what
    /// the taken items need is made.
    #[must_use]
    pub fn keeps_directories(&self) -> bool {
        self.include.is_none()
    }
}

/// A pattern that matches a directory covers everything below it.
fn matches_upward(set: &GlobSet, path: &ItemPath) -> bool {
    let bytes = path.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
    ends.chain([bytes.len()]).any(|end| {
        let part = bytes.get(..end).unwrap_or_default();
        set.is_match_candidate(&Candidate::new(Path::new(OsStr::from_bytes(part))))
    })
}

fn compile(patterns: &[String], field: &str) -> Result<Option<GlobSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for (index, pattern) in patterns.iter().enumerate() {
        let invalid = |why: &str| {
            EngineError::new(Kind::InvalidField, format!("a bad glob: {why}"))
                .field(format!("{field}.{index}"))
        };
        let trimmed = pattern.trim_end_matches('/');
        let anchored = trimmed.strip_prefix('/').unwrap_or(trimmed);
        if anchored.is_empty() {
            return Err(invalid("it is empty"));
        }
        let anywhere = !trimmed.contains('/');
        let text = if anywhere { format!("**/{anchored}") } else { anchored.to_owned() };
        let glob = GlobBuilder::new(&text)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| invalid(&error.kind().to_string()))?;
        builder.add(glob);
    }
    let set = builder.build().map_err(|error| {
        EngineError::new(Kind::InvalidField, format!("globs too large: {}", error.kind()))
            .field(field)
    })?;
    Ok(Some(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(include: &[&str], exclude: &[&str], path: &[u8]) -> bool {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Selection::new(&own(include), &own(exclude)).unwrap().takes(&ItemPath::parse(path).unwrap())
    }

    #[test]
    fn patterns_follow_the_documented_grammar() {
        assert!(takes(&["*.csv"], &[], b"a/b/c.csv"));
        assert!(!takes(&["a/*.csv"], &[], b"a/b/c.csv"));
        assert!(takes(&["a/**"], &[], b"a/b/c.csv"));
        assert!(takes(&["a"], &[], b"a/b/c.csv"));
        assert!(!takes(&["/b"], &[], b"a/b/c"));
        assert!(takes(&[], &["/b"], b"a/b/c"));
        assert!(!takes(&[], &["b/"], b"a/b/c"));
        assert!(!takes(&["*"], &["*.tmp"], b"x.tmp"));
        assert!(takes(&["{a,b}.[ch]"], &[], b"b.h"));
        assert!(takes(&["?"], &[], b"\xff"));
        assert!(!takes(&["A"], &[], b"a"));
        assert!(takes(&["\\*"], &[], b"*") && !takes(&["\\*"], &[], b"x"));
    }

    #[test]
    fn bad_patterns_name_their_place() {
        let error = Selection::new(&[], &["ok".into(), "[".into()]).unwrap_err();
        assert_eq!(error.parts().field.as_deref(), Some("exclude.1"));
        assert!(Selection::new(&["".into()], &[]).is_err());
    }
}
