//! Contenders over the same data in interleaved rounds.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use migration_fixtures::Aspects;

use crate::cache::{self, Cache};
use crate::measure::{self, Sample};
use crate::suite::Setting;
use crate::tool::Contender;

/// What all contenders of a race work on.
#[derive(Debug)]
pub struct Course {
    /// The file or tree that is read.
    pub source: PathBuf,
    /// What copiers make; gone before each run.
    pub target: PathBuf,
    /// Bytes in the source.
    pub bytes: u64,
}

/// How one contender did.
#[derive(Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Whether it is the engine.
    pub ours: bool,
    /// Whether it copies.
    pub copies: bool,
    /// Its runs, or why there are none.
    pub outcome: Result<Vec<Sample>, String>,
}

/// Runs every contender `setting.runs` times, one after the other within each round, each round
/// beginning with another one, and checks the first copy that each makes, byte by byte. A
/// contender that fails is out.
///
/// # Errors
/// What the system answers about the data itself.
pub fn race(setting: &Setting, course: &Course, contenders: &[Contender]) -> io::Result<Vec<Row>> {
    let rows = rounds(setting, contenders, &Local { setting, course })?;
    clear(setting, &course.target)?;
    Ok(rows)
}

/// What comes before and after each run of a race, outside of what is timed.
pub trait Ground {
    /// The same state for every run.
    ///
    /// # Errors
    /// What the system answers: the race is over.
    fn prepare(&self) -> io::Result<()>;

    /// Looks at what a run made; `first` says whether it is the contender's first run.
    ///
    /// # Errors
    /// What is wrong with it: the contender is out.
    fn finish(&self, contender: &Contender, sample: Sample, first: bool) -> io::Result<Sample>;
}

/// The rounds of a race on any ground.
///
/// # Errors
/// What [`Ground::prepare`] answers.
pub fn rounds(
    setting: &Setting,
    contenders: &[Contender],
    ground: &dyn Ground,
) -> io::Result<Vec<Row>> {
    let mut rows: Vec<Row> = contenders.iter().map(Row::new).collect();
    for round in 0..setting.runs as usize {
        for turn in 0..contenders.len() {
            let index = (round + turn) % contenders.len();
            let (Some(command), Ok(samples)) =
                (&contenders[index].command, &mut rows[index].outcome)
            else {
                continue;
            };
            ground.prepare()?;
            let ran = measure::run(command, &setting.scratch)
                .and_then(|sample| ground.finish(&contenders[index], sample, round == 0));
            match ran {
                Ok(sample) => samples.push(sample),
                Err(error) => rows[index].outcome = Err(error.to_string()),
            }
        }
    }
    Ok(rows)
}

/// A race over files and trees of this machine.
struct Local<'a> {
    setting: &'a Setting,
    course: &'a Course,
}

impl Ground for Local<'_> {
    fn prepare(&self) -> io::Result<()> {
        prepare(self.setting, self.course)
    }

    fn finish(&self, contender: &Contender, sample: Sample, first: bool) -> io::Result<Sample> {
        finish(self.setting, self.course, contender, sample, first)
    }
}

/// The same state for every run: no target, nothing left to write, page cache and memory as said.
fn prepare(setting: &Setting, course: &Course) -> io::Result<()> {
    cache::sync(&setting.scratch)?;
    clear(setting, &course.target)?;
    setting.cache.prepare(&course.source)?;
    cache::warm_memory(course.bytes + course.bytes / 2)
}

impl Row {
    /// A contender before its first run.
    #[must_use]
    pub fn new(contender: &Contender) -> Self {
        Self {
            name: contender.name.clone(),
            ours: contender.ours,
            copies: contender.copies,
            outcome: match contender.command {
                Some(_) => Ok(Vec::new()),
                None if contender.ours => Err("not built".to_owned()),
                None => Err("absent".to_owned()),
            },
        }
    }

    /// The median of what `value` takes from each run.
    #[must_use]
    pub fn median<T: Ord + Copy>(&self, value: impl Fn(&Sample) -> T) -> Option<T> {
        let mut values: Vec<T> = self.outcome.as_ref().ok()?.iter().map(value).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    }

    /// Whether the contender ran, or was not there to run: nothing went wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.outcome.as_ref().err().is_none_or(|why| why == "absent" || why == "not built")
    }
}

/// Times the sync that makes a copy durable, and checks the copy where asked.
fn finish(
    setting: &Setting,
    course: &Course,
    contender: &Contender,
    mut sample: Sample,
    check: bool,
) -> io::Result<Sample> {
    if contender.copies || contender.unpack.is_some() {
        let start = Instant::now();
        cache::sync(&setting.scratch)?;
        sample.synced = Some(sample.wall + start.elapsed());
        sample.made_bytes = std::fs::metadata(&course.target).ok().map(|made| made.len());
    }
    if check && contender.copies {
        verify(&course.source, &course.target)?;
    }
    if let (true, Some(unpack)) = (check, contender.unpack) {
        unpacked(setting, course, unpack)?;
    }
    Ok(sample)
}

/// Whether the usual tool unpacks the target to the source.
///
/// # Errors
/// `InvalidData` naming the first difference.
fn unpacked(setting: &Setting, course: &Course, tool: &str) -> io::Result<()> {
    let plain = setting.scratch.join("unpacked");
    let program = setting.tools.peer(tool).ok_or(io::ErrorKind::NotFound)?;
    let status = std::process::Command::new(program)
        .arg("-dc")
        .stdin(std::fs::File::open(&course.target)?)
        .stdout(std::fs::File::create(&plain)?)
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{tool} does not read it")));
    }
    verify(&course.source, &plain)?;
    std::fs::remove_file(&plain)
}

/// Whether the copy holds the names and bytes of the source.
///
/// # Errors
/// `InvalidData` naming the first difference.
pub fn verify(source: &Path, target: &Path) -> io::Result<()> {
    let found = if source.is_dir() {
        let found = migration_fixtures::compare(source, target, &Aspects::content())?;
        found.first().map(ToString::to_string)
    } else {
        let (mut a, mut b) = (std::fs::File::open(source)?, std::fs::File::open(target)?);
        let offset = migration_fixtures::compare::first_difference(&mut a, &mut b)?;
        offset.map(|offset| format!("content differs at byte {offset}"))
    };
    match found {
        None => Ok(()),
        Some(difference) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("wrong copy: {difference}")))
        }
    }
}

/// Makes way for the next copy. Trees are moved aside and only removed at the very end: for some
/// minutes ext4 steps over every inode just freed each time it makes a file, so that a copy made
/// after a removal takes up to ten times longer.
///
/// # Errors
/// What the system answers.
pub fn clear(setting: &Setting, target: &Path) -> io::Result<()> {
    if target.is_dir() {
        let aside = tempfile::Builder::new().prefix("done-").tempdir_in(&setting.scratch)?.keep();
        cache::forget(target)?;
        return std::fs::rename(target, aside.join("copy"));
    }
    match std::fs::remove_file(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How the cache is named in a table's heading.
#[must_use]
pub fn cache_name(cache: Cache) -> &'static str {
    match cache {
        Cache::Warm => "warm page cache",
        Cache::Cold => "cold page cache",
    }
}

/// The best median of the peers among `rows`, of what `value` takes from each run.
#[must_use]
pub fn best_peer(rows: &[Row], value: impl Fn(&Sample) -> Duration) -> Option<Duration> {
    rows.iter().filter(|row| !row.ours).filter_map(|row| row.median(&value)).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tools;

    fn sample() -> Sample {
        Sample {
            wall: Duration::from_secs(1),
            synced: None,
            made_bytes: None,
            cpu: Duration::ZERO,
            rss_bytes: 0,
            around: None,
        }
    }

    #[test]
    fn a_wrong_copy_is_out() {
        let scratch = tempfile::tempdir().unwrap();
        let tools = Tools::find(None, None);
        let course = Course {
            source: scratch.path().join("source"),
            target: scratch.path().join("target"),
            bytes: 3,
        };
        let copier = Contender::copier(&tools, "cp", &[], [&course.source, &course.target]);
        let setting = Setting {
            tools,
            scratch: scratch.path().to_path_buf(),
            runs: 1,
            cache: Cache::Warm,
            scale: 1.0,
            s3: crate::suite::s3::Sizes::default(),
            rows: crate::suite::tables::Sizes::default(),
        };
        std::fs::write(&course.source, "abc").unwrap();
        std::fs::write(&course.target, "abc").unwrap();
        let right = finish(&setting, &course, &copier, sample(), true).unwrap();
        assert!(right.synced.unwrap() >= right.wall);
        std::fs::write(&course.target, "abd").unwrap();
        let error = finish(&setting, &course, &copier, sample(), true).unwrap_err();
        assert_eq!(error.to_string(), "wrong copy: content differs at byte 2");
    }

    #[test]
    fn who_is_absent_is_sound_and_who_fails_is_not() {
        let absent = Contender::reader(&Tools::find(None, None), "no-such-program", &[], &[]);
        let mut row = Row::new(&absent);
        assert!(row.is_sound());
        row.outcome = Err("exit status: 1: no space".to_owned());
        assert!(!row.is_sound());
    }
}
