//! One file compressed, and decompressed again.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use migration_fixtures::{mixed_file, text_file};

use super::{Setting, engine};
use crate::machine::cores;
use crate::race::{Course, race};
use crate::table::{self, Report};
use crate::tool::Contender;

const FILE_BYTES: u64 = 256 << 20;

/// Races compression of a log and of a mixed file, then decompression of the log.
///
/// # Errors
/// What the system answers about the data.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let bytes = setting.scaled(FILE_BYTES);
    let mut markdown = format!("## Compression of {bytes} bytes on {} cores\n", cores());
    let mut sound = true;
    let course = |name: &str| Course {
        source: setting.scratch.join(name),
        target: setting.scratch.join("packed"),
        bytes,
    };
    let kinds = [("A log", course("log")), ("Log, noise, records and zeros", course("mixed"))];
    for (kind, course) in &kinds {
        match course.source.ends_with("log") {
            true => text_file(&course.source, bytes, 1)?,
            false => mixed_file(&course.source, bytes, 1)?,
        }
        for (form, packers) in [
            ("gzip", gzip(setting, course)?),
            ("zstd", zstd(setting, course)?),
            ("lz4 and brotli", others(setting, course)?),
        ] {
            let rows = race(setting, course, &packers)?;
            markdown += &format!("\n{kind}, {form}:\n\n{}", table::packed(&rows, bytes));
            sound &= rows.iter().all(|row| row.is_sound());
        }
    }
    let [(_, log), _] = &kinds;
    for (form, tool, options) in [("gzip", "pigz", &["-dc"][..]), ("zstd", "zstd", &["-dcq"])] {
        let packed = setting.scratch.join(format!("log.{form}"));
        make_packed(setting, &log.source, &packed, form)?;
        let course =
            Course { source: log.source.clone(), target: setting.scratch.join("plain"), bytes };
        let theirs = Contender {
            copies: true,
            ..redirected(setting, tool, options, [&packed, &course.target])
        };
        let ours = engine::decompress(setting, [&packed, &course.target], form)?;
        let rows = race(setting, &course, &[theirs, Contender { copies: true, ..ours }])?;
        markdown += &format!("\nThe log back from {form}:\n\n{}", table::files(&rows, bytes));
        sound &= rows.iter().all(|row| row.is_sound());
    }
    Ok(Report { markdown, sound })
}

fn gzip(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let paths = [course.source.as_path(), course.target.as_path()];
    let cores = cores().to_string();
    let peer = |program: &str, options: &[&str]| Contender {
        unpack: Some("gzip"),
        ..redirected(setting, program, options, paths)
    };
    Ok(vec![
        peer("pigz", &["-6", "-p", &cores, "-c"]),
        peer("igzip", &["-3", "-T", &cores, "-c"]),
        engine::compress(setting, paths, ("gzip", 6), "gzip")?,
        engine::compress(setting, paths, ("gzip", 3), "gzip")?,
    ])
}

fn zstd(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let paths = [course.source.as_path(), course.target.as_path()];
    let peer = redirected(setting, "zstd", &["-3", "-T0", "-q", "-c"], paths);
    Ok(vec![
        Contender { unpack: Some("zstd"), ..peer },
        engine::compress(setting, paths, ("zstd", 3), "zstd")?,
    ])
}

fn others(setting: &Setting, course: &Course) -> io::Result<Vec<Contender>> {
    let paths = [course.source.as_path(), course.target.as_path()];
    let peer = |program: &'static str, options: &[&str]| Contender {
        unpack: Some(program),
        ..redirected(setting, program, options, paths)
    };
    Ok(vec![
        peer("lz4", &["-1", "-q", "-c"]),
        engine::compress(setting, paths, ("lz4", 1), "lz4")?,
        peer("brotli", &["-q", "5", "-c"]),
        engine::compress(setting, paths, ("brotli", 5), "brotli")?,
    ])
}

/// A peer whose output goes to the second path.
fn redirected(
    setting: &Setting,
    program: &str,
    options: &[&str],
    [from, to]: [&Path; 2],
) -> Contender {
    let command = setting.tools.peer(program).map(|found| {
        let script = "to=$1; shift; exec \"$@\" > \"$to\"";
        let begin: [OsString; 5] =
            ["sh".into(), "-c".into(), script.into(), "sh".into(), to.into()];
        let options = options.iter().map(OsString::from);
        let end = [OsString::from(from)];
        begin.into_iter().chain([found.into_os_string()]).chain(options).chain(end).collect()
    });
    let name = std::iter::once(program).chain(options.iter().copied()).collect::<Vec<_>>();
    Contender { name: name.join(" "), ours: false, command, copies: false, unpack: None }
}

/// The engine's own compressed file, as input of a race.
fn make_packed(setting: &Setting, source: &Path, packed: &Path, format: &str) -> io::Result<()> {
    let level = if format == "gzip" { 6 } else { 3 };
    let maker = engine::compress(setting, [source, packed], (format, level), "gzip")?;
    match &maker.command {
        Some(command) => crate::measure::run(command, &setting.scratch).map(drop),
        None => Ok(()),
    }
}
