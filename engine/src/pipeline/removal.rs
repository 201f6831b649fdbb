//! Removes the names that were found and judged: one after the other where directories are names
//! too, many at once where each is an object that waits for a network.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::endpoint::contract::{Doomed, Held, Place};
use crate::error::{EngineError, Kind, Result};
use crate::journal::list::Listed;
use crate::limits::DELETES_A_COMMIT;
use crate::model::choice::Carry;
use crate::model::item::ItemKind;
use crate::model::path::ItemPath;
use crate::pipeline::delete::Deletion;
use crate::pipeline::feed::ends_job;
use crate::pipeline::lease::Lease;
use crate::plan::extra::Extra;
use crate::progress::Spent;

/// Names from which on it is worth to find out whether many go by one call.
const TOGETHER_LEAST: usize = 16;

/// What came of it so far.
#[derive(Clone, Copy, Debug, Default)]
struct Came {
    removed: u64,
    /// Names that are gone, or others than were listed.
    kept: u64,
}

/// Removes what was listed. Returns how many names were removed.
///
/// # Errors
/// What ends the job. Names that could not be removed by themselves are reported to it.
pub(super) fn apply(on: &Deletion<'_>, root: Place, extras: Listed) -> Result<u64> {
    let walk = Walk { on, open: vec![Level::new(ItemPath::root(), root.clone())] };
    let came = match is_flat(on) {
        true => at_once(walk, extras, &root)?,
        false => in_turn(walk, extras)?,
    };
    if came.kept > 0 {
        let message =
            format!("{} names are gone or others since they were listed; kept", came.kept);
        on.job.warn(&EngineError::new(Kind::DeleteHalted, message));
    }
    Ok(came.removed)
}

/// Whether names depend on no other, and each waits for a network.
fn is_flat(on: &Deletion<'_>) -> bool {
    let caps = on.sink.caps();
    caps.remote && !caps.directories
}

fn in_turn(mut walk: Walk<'_>, mut extras: Listed) -> Result<Came> {
    let (on, mut came) = (walk.on, Came::default());
    let mut commit = Commit { lease: on.lease, left: 0, held: None };
    while let Some(record) = extras.take()? {
        on.job.take_op()?;
        let extra = Extra::decode(&record)?;
        commit.ask()?;
        let removed = walk.remove(&extra);
        came.end(on, &extra, removed)?;
    }
    drop(commit);
    walk.close_to(0);
    Ok(came)
}

/// In rounds, each under one commit: when the lease is asked again, nothing is on its way. What
/// comes of a round is told in the order of the list.
fn at_once(mut walk: Walk<'_>, mut extras: Listed, root: &Place) -> Result<Came> {
    let (on, mut came) = (walk.on, Came::default());
    let most = on.parallel.max(1) * DELETES_A_COMMIT;
    let mut together = None;
    loop {
        let mut round = Vec::new();
        while round.len() < most
            && let Some(record) = extras.take()?
        {
            let extra = Extra::decode(&record)?;
            match walk.reach(&extra.path) {
                Ok(at) => round.push(Extinct { place: walk.place(at), extra }),
                Err(error) if ends_job(error.kind()) => return Err(error),
                Err(error) => on.fail(&extra.path, error),
            }
        }
        if round.is_empty() {
            return Ok(came);
        }
        let held = on.lease.map(Lease::commit).transpose()?;
        if together.is_none() && round.len() >= TOGETHER_LEAST {
            together = Some(on.sink.removes_at_once(root)?);
        }
        let outcomes = remove_all(on, &round, together.unwrap_or(1))?;
        drop(held);
        let mut ended = Ok(());
        for (extinct, outcome) in round.iter().zip(outcomes) {
            // What was done is told, whatever ended the others.
            let told = outcome.map_or(Ok(()), |outcome| came.end(on, &extinct.extra, outcome));
            ended = ended.and(told);
        }
        ended?;
    }
}

/// A name to be removed, and where; nowhere once its directory is gone.
struct Extinct {
    place: Option<Place>,
    extra: Extra,
}

/// Removes the names of a round, several at once. The outcome of each; `None` for those that were
/// left alone because another one ended the job.
fn remove_all(
    on: &Deletion<'_>,
    round: &[Extinct],
    together: usize,
) -> Result<Vec<Option<Result<bool>>>> {
    let outcomes = Mutex::new(round.iter().map(|_| None).collect::<Vec<_>>());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let groups: Vec<&[Extinct]> = round.chunks(together.max(1)).collect();
    let work = || {
        while !stop.load(Ordering::Acquire) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(group) = groups.get(index) else {
                return;
            };
            let came = remove_group(on, group);
            let ends = |outcome: &Result<bool>| outcome.as_ref().is_err_and(|e| ends_job(e.kind()));
            if came.iter().any(ends) {
                stop.store(true, Ordering::Release);
            }
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            let slots = outcomes.iter_mut().skip(index * together.max(1));
            slots.zip(came).for_each(|(slot, outcome)| *slot = Some(outcome));
        }
    };
    on.job.engine.workers.run(on.parallel.min(groups.len()), work, || ())?;
    Ok(outcomes.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Removes some names by one call. The outcome of each.
fn remove_group(on: &Deletion<'_>, group: &[Extinct]) -> Vec<Result<bool>> {
    for _ in group {
        if let Err(error) = on.job.take_op() {
            return group.iter().map(|_| Err(error.clone())).collect();
        }
    }
    let doomed: Vec<Doomed<'_>> = group.iter().filter_map(Extinct::as_doomed).collect();
    let remove = || match doomed.as_slice() {
        [] => Vec::new(),
        [one] => vec![on.sink.remove(one.place, one.name, one.kind, one.seen)],
        many => on.sink.remove_many(many),
    };
    let mut came = on.job.progress.timed(Spent::DestinationWrite, remove).into_iter();
    let outcome = |extinct: &Extinct| match extinct.place {
        Some(_) => came.next().unwrap_or(Ok(false)),
        None => Ok(false),
    };
    group.iter().map(outcome).collect()
}

impl Extinct {
    fn as_doomed(&self) -> Option<Doomed<'_>> {
        let Extra { path, kind, mark } = &self.extra;
        let place = self.place.as_ref()?;
        Some(Doomed { place, name: path.name(), kind: *kind, seen: mark })
    }
}

impl Came {
    /// Tells of a name.
    fn end(&mut self, on: &Deletion<'_>, extra: &Extra, outcome: Result<bool>) -> Result<()> {
        match outcome {
            Ok(true) => {
                self.removed += 1;
                on.job.deleted(extra.path.as_bytes());
            }
            Ok(false) => self.kept += u64::from(extra.kind != ItemKind::Directory),
            Err(error) if ends_job(error.kind()) => return Err(error),
            Err(error) => on.fail(&extra.path, error),
        }
        Ok(())
    }
}

/// The right to remove a few names.
struct Commit<'a> {
    lease: Option<&'a Lease>,
    left: usize,
    held: Option<Held>,
}

impl Commit<'_> {
    fn ask(&mut self) -> Result<()> {
        if self.left == 0 {
            self.held = None;
            self.held = self.lease.map(Lease::commit).transpose()?;
            self.left = DELETES_A_COMMIT;
        }
        self.left -= 1;
        Ok(())
    }
}

/// An open directory of the destination.
struct Level {
    path: ItemPath,
    place: Place,
    /// Whether something in it was removed.
    touched: bool,
}

impl Level {
    fn new(path: ItemPath, place: Place) -> Self {
        Self { path, place, touched: false }
    }
}

/// Goes from directory to directory, with those above open.
struct Walk<'a> {
    on: &'a Deletion<'a>,
    /// From the root down, never empty while names are removed.
    open: Vec<Level>,
}

impl Walk<'_> {
    fn remove(&mut self, extra: &Extra) -> Result<bool> {
        let Some((level, name)) = self.reach(&extra.path)? else {
            return Ok(false);
        };
        let (sink, progress) = (self.on.sink, &self.on.job.progress);
        let Some(level) = self.open.get_mut(level) else {
            return Ok(false);
        };
        let remove = || sink.remove(&level.place, name, extra.kind, &extra.mark);
        let removed = progress.timed(Spent::DestinationWrite, remove)?;
        level.touched |= removed;
        Ok(removed)
    }

    fn place(&self, at: Option<(usize, &[u8])>) -> Option<Place> {
        self.open.get(at?.0).map(|level| level.place.clone())
    }

    /// Opens the directory that holds `path`; `None` when it is gone.
    fn reach<'p>(&mut self, path: &'p ItemPath) -> Result<Option<(usize, &'p [u8])>> {
        let parts: Vec<&[u8]> = path.parts().collect();
        let Some((name, parents)) = parts.split_last() else {
            return Ok(None);
        };
        let open = self.open.iter().skip(1).map(|level| level.path.name());
        let same = open.zip(parents).take_while(|(open, part)| open == *part).count();
        self.close_to(same + 1);
        for part in parents.iter().skip(same) {
            let Some(last) = self.open.last() else {
                return Ok(None);
            };
            let Some(place) = self.inside(&last.place, part)? else {
                return Ok(None);
            };
            let level = Level::new(last.path.join(part)?, place);
            self.open.push(level);
        }
        Ok(Some((parents.len(), name)))
    }

    /// A prefix is nothing by itself: what is removed beneath it tells whether it is there.
    fn inside(&self, place: &Place, part: &[u8]) -> Result<Option<Place>> {
        match is_flat(self.on) {
            true => self.on.sink.enter_prefix(place, part).map(Some),
            false => self.on.sink.inside(place, part),
        }
    }

    /// Closes directories until so many are open.
    fn close_to(&mut self, count: usize) {
        while self.open.len() > count {
            let closed = self.open.pop();
            if let (Some(level), Some(carry)) = (closed.filter(|l| l.touched), self.on.dress)
                && let Err(error) = self.dress(&level, carry)
            {
                self.on.fail(&level.path, error);
            }
        }
    }

    /// Gives a directory its source's attributes again: the removal changed its times.
    fn dress(&self, level: &Level, carry: Carry) -> Result<()> {
        let Some(item) = self.on.source.find(&level.path)? else {
            return Ok(());
        };
        if item.kind != ItemKind::Directory {
            return Ok(());
        }
        let extended = self.on.source.extended(&item, carry)?;
        self.on.sink.leave(&level.place, &item.attributes, &extended, carry).map(drop)
    }
}
