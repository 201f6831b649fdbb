//! sha256 of a tree, and what the processor could do at best.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

use migration_fixtures::{Sizes, SmallFiles, large_file};

use super::{Setting, engine};
use crate::machine::cores;
use crate::race::{Course, race};
use crate::table::{self, Report};
use crate::tool::Contender;

const LARGE_FILES: u64 = 32;
const LARGE_BYTES: u64 = 32 << 20;
const SMALL_FILES: u64 = 2_000;
const SMALL_BYTES: u64 = 16 << 10;

/// Races digests of a tree of large and small files.
///
/// # Errors
/// What the system answers about the data.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let source = setting.scratch.join("tree");
    let bytes = build(setting, &source)?;
    let course = Course { source, target: setting.scratch.join("no-copy"), bytes };
    let contenders = [
        on_all_cores(setting, &course.source, "sha256sum", "sha256sum"),
        on_all_cores(setting, &course.source, "openssl", "openssl dgst -sha256"),
        Contender::reader(&setting.tools, "rclone", &["hashsum", "sha256"], &[&course.source]),
        engine::checksum(setting, &course.source, "sha256")?,
        engine::checksum(setting, &course.source, "crc64nvme")?,
    ];
    let rows = race(setting, &course, &contenders)?;
    let markdown = format!(
        "## Digests of a tree of {bytes} bytes\n\n`openssl speed` for sha256 on {} cores: {}\n\n{}",
        cores(),
        speed(setting).unwrap_or_else(|| "not known".to_owned()),
        table::files(&rows, bytes)
    );
    Ok(Report { markdown, sound: rows.iter().all(|row| row.is_sound()) })
}

fn build(setting: &Setting, root: &Path) -> io::Result<u64> {
    let count = setting.scaled(SMALL_FILES);
    let small = SmallFiles { count, sizes: Sizes::Around(SMALL_BYTES), fan_out: 100, seed: 2 };
    let bytes = small.build(root)?;
    let large = setting.scaled(LARGE_FILES);
    for index in 0..large {
        large_file(&root.join(format!("large-{index}")), LARGE_BYTES, 100 + index)?;
    }
    Ok(bytes + large * LARGE_BYTES)
}

/// A digest program started by xargs for 16 files at a time on every core.
fn on_all_cores(setting: &Setting, root: &Path, program: &str, line: &str) -> Contender {
    let name = format!("find | xargs -P {} {line}", cores());
    let script = format!("find \"$0\" -type f -print0 | xargs -0 -n 16 -P {} {line}", cores());
    let command: Vec<OsString> = vec!["sh".into(), "-c".into(), script.into(), root.into()];
    let command = setting.tools.peer(program).map(|_| command);
    Contender { name, ours: false, command, copies: false, unpack: None }
}

/// What openssl hashes from memory on all cores, the bound for any program.
fn speed(setting: &Setting) -> Option<String> {
    let cores = cores().to_string();
    let arguments = ["speed", "-mr", "-elapsed", "-seconds", "2", "-bytes", "1048576"];
    let printed = Command::new(setting.tools.peer("openssl")?)
        .args(arguments)
        .args(["-multi", &cores, "-evp", "sha256"])
        .output()
        .ok()?;
    let text = String::from_utf8(printed.stdout).ok()?;
    let last = text.lines().rfind(|line| line.starts_with("+F:"))?;
    let bytes_per_s: f64 = last.rsplit(':').next()?.parse().ok()?;
    Some(format!("{:.0} MB/s", bytes_per_s / 1e6))
}
