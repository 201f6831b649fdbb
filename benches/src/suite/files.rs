//! One large file, copied and digested.

use std::io;

use super::{Setting, engine};
use crate::race::{Course, race};
use crate::table::{self, Report};
use crate::tool::Contender;

const FILE_BYTES: u64 = 1 << 30;

const LONG_FILE_BYTES: u64 = 4 << 30;

/// Races copies of one large file, sha256 of it, and copies of a longer one among the fastest.
///
/// # Errors
/// What the system answers about the data.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let bytes = setting.scaled(FILE_BYTES);
    let course = course(setting, bytes)?;
    let copies = race(setting, &course, &copiers(setting, &course)?)?;
    let digests = race(setting, &course, &digesters(setting, &course)?)?;
    std::fs::remove_file(&course.source)?;
    let long_bytes = setting.scaled(LONG_FILE_BYTES);
    let long = self::course(setting, long_bytes)?;
    let long_copies = race(setting, &long, &fast_copiers(setting, &long)?)?;
    std::fs::remove_file(&long.source)?;
    let markdown = format!(
        "## One file of {bytes} bytes\n\n{}\nsha256, of the file alone and while it is copied:\n\n\
         {}\nOne file of {long_bytes} bytes:\n\n{}",
        table::files(&copies, bytes),
        table::files(&digests, bytes),
        table::files(&long_copies, long_bytes)
    );
    let mut rows = copies.iter().chain(&digests).chain(&long_copies);
    Ok(Report { markdown, sound: rows.all(|row| row.is_sound()) })
}

fn course(setting: &Setting, bytes: u64) -> io::Result<Course> {
    let (source, target) = (setting.scratch.join("large"), setting.scratch.join("large-copy"));
    migration_fixtures::large_file(&source, bytes, 1)?;
    Ok(Course { source, target, bytes })
}

fn fast_copiers(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let paths = [course.source.as_path(), course.target.as_path()];
    let mut contenders = vec![
        Contender::copier(&setting.tools, "cp", &[], paths),
        Contender::copier(&setting.tools, "xcp", &["--no-progress"], paths),
    ];
    contenders.extend(engine::copies(setting, &course.source, &course.target, &["crc64nvme"])?);
    Ok(contenders)
}

fn copiers(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let paths = [course.source.as_path(), course.target.as_path()];
    let tools = &setting.tools;
    let mut contenders = vec![
        Contender::copier(tools, "cp", &[], paths),
        Contender::copier(tools, "cp", &["-a"], paths),
        Contender::copier(tools, "rsync", &["-a"], paths),
        Contender::copier(tools, "xcp", &["--no-progress"], paths),
        Contender::copier(tools, "rclone", &["copyto"], paths),
    ];
    let checksums = ["none", "crc64nvme", "blake3"];
    contenders.extend(engine::copies(setting, &course.source, &course.target, &checksums)?);
    Ok(contenders)
}

fn digesters(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let source = [course.source.as_path()];
    let mut contenders = vec![
        Contender::reader(&setting.tools, "openssl", &["dgst", "-sha256"], &source),
        Contender::reader(&setting.tools, "sha256sum", &[], &source),
        engine::checksum(setting, &course.source, "sha256")?,
    ];
    contenders.extend(engine::copies(setting, &course.source, &course.target, &["sha256"])?);
    Ok(contenders)
}
