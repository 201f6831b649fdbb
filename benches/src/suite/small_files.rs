//! Many small files, with digests and metadata.

use std::io;
use std::path::PathBuf;

use migration_fixtures::{Sizes, SmallFiles};

use super::{Setting, engine};
use crate::race::{Course, race};
use crate::table::{self, Report};
use crate::tool::Contender;

const FILES: u64 = 50_000;
const FAN_OUT: u64 = 100;
const MEAN_BYTES: u64 = 4 << 10;

/// Races copies of a tree of small files.
///
/// # Errors
/// What the system answers about the data.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let count = setting.scaled(FILES);
    let source = setting.scratch.join("small");
    let spec = SmallFiles { count, sizes: Sizes::Around(MEAN_BYTES), fan_out: FAN_OUT, seed: 1 };
    let bytes = spec.build(&source)?;
    let course = Course { source, target: setting.scratch.join("small-copy"), bytes };
    let rows = race(setting, &course, &contenders(setting, &course)?)?;
    let markdown = format!(
        "## {count} files of 0 to {} bytes, {bytes} bytes in all, {FAN_OUT} in a directory\n\n{}",
        2 * MEAN_BYTES,
        table::files(&rows, bytes)
    );
    Ok(Report { markdown, sound: rows.iter().all(|row| row.is_sound()) })
}

fn contenders(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let tools = &setting.tools;
    let paths = [course.source.as_path(), course.target.as_path()];
    // rsync names the content of a directory by a slash at its end.
    let (inside, into) = (course.source.join(""), PathBuf::from(paths[1]).join(""));
    let mut contenders = vec![
        Contender::copier(tools, "cp", &["-r"], paths),
        Contender::copier(tools, "cp", &["-a"], paths),
        Contender::copier(tools, "rsync", &["-a"], [&inside, &into]),
        Contender::copier(tools, "xcp", &["-r", "--no-progress"], paths),
        Contender::copier(tools, "rclone", &["copy"], paths),
    ];
    let checksums = ["crc64nvme", "sha256"];
    contenders.extend(engine::copies(setting, &course.source, &course.target, &checksums)?);
    Ok(contenders)
}
