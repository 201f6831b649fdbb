//! What dead attempts left behind, removed through the endpoint that it lies in.

use crate::endpoint::{self, Sweep};
use crate::error::Result;
use crate::job::Job;
use crate::journal::attempt::{Dead, attempts};
use crate::model::item::Timestamp;
use crate::model::leftover::{Owner, Root, Swept};
use crate::model::location::Location;
use crate::model::path::JOB_TAG_DIGITS;
use crate::platform::operator;

/// Where the temporary files of a tree at this location stand.
#[must_use]
pub fn tree_root(location: &Location) -> Root {
    Root { location: lasting(location), tree: true }
}

/// Where the temporary file of a single item at this location stands: beside it.
#[must_use]
pub fn folder_root(location: &Location) -> Root {
    let folder = operator::split(&location.path).map_or(&location.path[..], |(folder, _)| folder);
    let folder = Location { path: folder.to_vec(), ..location.clone() };
    Root { location: lasting(&folder), tree: false }
}

/// Where the temporary file of a list that the operator named stands.
#[must_use]
pub fn list_root(path: &[u8]) -> Root {
    folder_root(&Location::file(path))
}

/// A location that means the same from any working directory.
fn lasting(location: &Location) -> Location {
    let path = match location.scheme.as_str() {
        "file" => operator::absolute(&location.path),
        _ => location.path.clone(),
    };
    Location { path, ..location.clone() }
}

/// The part of a job's name that is in its temporary names.
#[must_use]
pub fn tag(job: &str) -> String {
    job.get(..JOB_TAG_DIGITS).unwrap_or(job).to_owned()
}

/// Places to be searched, and what was begun in them.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Where.
    pub roots: &'a [Root],
    /// Names of things begun that bear no temporary name.
    pub begun: &'a [Vec<u8>],
    /// When the job began that recorded them.
    pub since: Timestamp,
    /// When they were recorded last.
    pub until: Timestamp,
}

impl<'a> Search<'a> {
    /// Where a dead job wrote.
    #[must_use]
    pub fn of(dead: &'a Dead) -> Self {
        Self { roots: &dead.roots, begun: &dead.begun, since: dead.began, until: dead.wrote }
    }
}

/// Searches for what `owner` left, adding to `found`.
///
/// # Errors
/// What keeps a root from being searched, `Cancelled`.
pub fn sweep(
    job: &Job,
    places: Search<'_>,
    owner: &Owner<'_>,
    dry_run: bool,
    found: &mut Swept,
) -> Result<()> {
    for root in places.roots {
        let Search { begun, since, until, .. } = places;
        let pass = &|| job.pass();
        let search = Sweep { root, owner, dry_run, begun, since, until, ties: &job.ties, pass };
        let swept = (endpoint::scheme(&root.location)?.sweep)(&search)?;
        found.removed += swept.removed;
        found.bytes += swept.bytes;
        found.left.extend(swept.left);
    }
    Ok(())
}

/// Records of a keyed command's dead attempts, held so that nobody else cleans the same.
#[derive(Debug, Default)]
pub struct Earlier(Vec<Dead>);

impl Earlier {
    /// Takes hold of them, and removes what they left, but for the large files that this attempt
    /// may go on with.
    ///
    /// # Errors
    /// `StateDir`, `JournalCorrupt`, and what keeps a leftover from being removed.
    pub fn hold(job: &Job) -> Result<Self> {
        let (Some(ledger), Some(state)) = (job.ledger(), &job.engine.state) else {
            return Ok(Self::default());
        };
        if !ledger.is_resumed() {
            return Ok(Self::default());
        }
        let (jobs, begun) = (ledger.earlier_jobs()?, ledger.begun_temps()?);
        let mut held = attempts(&state.attempts())?;
        held.retain(|dead| jobs.contains(&dead.job));
        let earlier = Self(held);
        earlier.sweep(job, &begun)?;
        Ok(earlier)
    }

    fn sweep(&self, job: &Job, kept: &[Vec<u8>]) -> Result<()> {
        for dead in &self.0 {
            let owner = Owner::Earlier { tag: tag(&dead.job), kept };
            let places = Search::of(dead);
            sweep(job, places, &owner, false, &mut Swept::default())?;
        }
        Ok(())
    }

    /// Removes the rest, now that nobody goes on with it, and forgets the attempts.
    ///
    /// # Errors
    /// What keeps a leftover from being removed.
    pub fn end(self, job: &Job) -> Result<()> {
        self.sweep(job, &[])?;
        self.0.into_iter().for_each(Dead::forget);
        Ok(())
    }
}
