//! Where and when the figures were taken.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::race::cache_name;
use crate::suite::Setting;

/// The heading of a report: machine, date, versions, command line.
///
/// # Errors
/// What the system answers.
pub fn describe(setting: &Setting) -> io::Result<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let meminfo = std::fs::read_to_string("/proc/meminfo")?;
    let cpu = field(&cpuinfo, "model name").unwrap_or("unknown processor");
    let memory = field(&meminfo, "MemTotal").unwrap_or("unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut text = String::new();
    let _ = writeln!(text, "- Date: {}", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    let _ = writeln!(
        text,
        "- Machine: {cpu}, {} cores, {memory} memory, Linux {}, {} under the data",
        cores(),
        kernel.trim(),
        file_system(&setting.scratch)
    );
    let _ = writeln!(text, "- Load of the last minutes: {}", load.trim());
    let _ = writeln!(text, "- Command: `migration-benches {}`", arguments.join(" "));
    let _ = writeln!(
        text,
        "- Medians of {} runs in interleaved order, {}, memory of the run's size taken and given \
         back before each; CPU is user and system time of the \
         process and its children; \"with sync\" adds a sync of the file system after the process \
         ended, which peers do not do and the engine's `power_loss` has already done",
        setting.runs,
        cache_name(setting.cache)
    );
    let _ = writeln!(text, "- Peers: {}", versions(setting).join("; "));
    Ok(text)
}

/// Processors this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start().strip_prefix(':')?.trim())
}

fn file_system(path: &Path) -> String {
    output("stat", &["-f", "-c", "%T", &path.to_string_lossy()])
}

fn versions(setting: &Setting) -> Vec<String> {
    let asked = [
        ("cp", "--version"),
        ("rsync", "--version"),
        ("xcp", "--version"),
        ("rclone", "version"),
        ("openssl", "version"),
        ("s5cmd", "version"),
        ("aws", "--version"),
    ];
    asked
        .into_iter()
        .map(|(name, option)| match setting.tools.peer(name) {
            Some(program) => output(&program.to_string_lossy(), &[option]),
            None => format!("{name} absent"),
        })
        .collect()
}

/// The first line that a program prints, or nothing.
#[must_use]
pub fn output(program: &str, arguments: &[&str]) -> String {
    let printed = Command::new(program).args(arguments).output().map(|ran| ran.stdout);
    let text = String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}
