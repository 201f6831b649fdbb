//! Temporary files: where a job makes them, and whose they are.

use std::sync::{Mutex, PoisonError};

use crate::model::location::Location;
use crate::model::path::{JOB_TAG_DIGITS, temp_tag};

/// A place where a job makes temporary files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The directory or prefix.
    pub location: Location,
    /// Whether below it too.
    pub tree: bool,
}

/// Names of things that were begun and are over, published or given up, for whoever keeps a record
/// of those that are not.
#[derive(Debug, Default)]
pub struct Over(Mutex<Option<Vec<Vec<u8>>>>);

impl Over {
    /// Somebody takes the names from now on: until then they are not kept.
    pub fn listen(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// This one is over.
    pub fn add(&self, name: Vec<u8>) {
        if let Some(names) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            names.push(name);
        }
    }

    /// Those that are over since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// Whose temporary files are meant.
pub enum Owner<'a> {
    /// Those with this tag.
    Job(String),
    /// Those with this tag but for these names.
    Earlier {
        /// The tag.
        tag: String,
        /// The names.
        kept: &'a [Vec<u8>],
    },
    /// Those of everybody whose tag this does not know to be at work now.
    Dead(&'a dyn Fn(&str) -> bool),
}

impl Owner<'_> {
    /// Whether a thing of this name is a temporary file of theirs.
    #[must_use]
    pub fn owns(&self, name: &[u8]) -> bool {
        let tag = temp_tag(name).and_then(|tag| std::str::from_utf8(tag).ok());
        tag.is_some_and(|tag| self.owns_tag(tag)) && !self.keeps().iter().any(|k| k == name)
    }

    /// Names of theirs that stay.
    #[must_use]
    pub fn keeps(&self) -> &[Vec<u8>] {
        match self {
            Self::Earlier { kept, .. } => kept,
            Self::Job(_) | Self::Dead(_) => &[],
        }
    }

    /// Whether a job of this name is theirs.
    #[must_use]
    pub fn owns_job(&self, job: &str) -> bool {
        job.get(..JOB_TAG_DIGITS).is_some_and(|tag| self.owns_tag(tag))
    }

    fn owns_tag(&self, tag: &str) -> bool {
        match self {
            Self::Job(own) | Self::Earlier { tag: own, .. } => own == tag,
            Self::Dead(is_at_work) => !is_at_work(tag),
        }
    }
}

/// What a search for leftovers came to.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Files removed, or with a dry run found.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Names of those that could not be removed.
    pub left: Vec<Vec<u8>>,
}
