//! A million commands through one pipe.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use super::Setting;
use crate::measure;
use crate::table::{self, Report};

const COMMANDS: u64 = 1_000_000;
/// Processes started for the peer's row: enough for a mean.
const PROCESSES: u64 = 500;
/// Bytes written to the pipe at once.
const BATCH_BYTES: usize = 32 << 10;

/// Measures what a command costs through one pipe, and beside it what a process per command costs.
///
/// # Errors
/// What the system answers.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let count = setting.scaled(COMMANDS);
    let tiny = setting.scratch.join("tiny");
    std::fs::write(&tiny, "1")?;
    let path = serde_json::to_string(&tiny)?;
    let bodies = [
        ("ping", "\"op\":\"ping\"".to_owned()),
        (
            "checksum crc32c of one byte",
            format!("\"op\":\"checksum\",\"algorithm\":\"crc32c\",\"src\":{path}"),
        ),
    ];
    let mut rows = String::new();
    let mut sound = true;
    for (name, body) in bodies {
        let cells = match setting.tools.engine() {
            None => "not built | | | | | ".to_owned(),
            Some(engine) => session(&[engine.into()], &body, count, setting)
                .map(|cost| cost.cells())
                .unwrap_or_else(|error| {
                    sound = false;
                    format!("{} | | | | | ", table::escaped(&error.to_string()))
                }),
        };
        let _ = writeln!(rows, "| **engine: {name}** | {cells} |");
    }
    let _ = writeln!(
        rows,
        "| a process each: sha256sum of one byte | {} |",
        processes(setting, &tiny)?
    );
    let markdown = format!(
        "## Commands through one pipe\n\n\
         | | commands | us each | CPU us each | RSS MiB at 10 % | RSS MiB at the end | peak RSS MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|\n{rows}"
    );
    Ok(Report { markdown, sound })
}

struct Cost {
    count: u64,
    wall: Duration,
    cpu: Duration,
    rss_early_bytes: u64,
    rss_late_bytes: u64,
    rss_peak_bytes: u64,
}

impl Cost {
    fn cells(&self) -> String {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / self.count as f64;
        format!(
            "{} | {:.2} | {:.2} | {} | {} | {}",
            self.count,
            each(self.wall),
            each(self.cpu),
            table::memory(self.rss_early_bytes),
            table::memory(self.rss_late_bytes),
            table::memory(self.rss_peak_bytes)
        )
    }
}

/// Sends `count` commands with the fields `body` and reads every answer.
fn session(engine: &[OsString], body: &str, count: u64, setting: &Setting) -> io::Result<Cost> {
    let mut prepared = measure::prepare(engine, &setting.scratch)?;
    prepared.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = prepared.spawn()?;
    let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let start = Instant::now();
    let (early, late) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(stdin, body, count));
        let memory = receive(&mut child, count)?;
        match sender.join() {
            Ok(sent) => sent.map(|()| memory),
            Err(_) => Err(io::Error::other("the sender panicked")),
        }
    })?;
    let wall = start.elapsed();
    let used = child.wait4()?.rusage;
    Ok(Cost {
        count,
        wall,
        cpu: used.utime + used.stime,
        rss_early_bytes: early,
        rss_late_bytes: late,
        rss_peak_bytes: used.maxrss,
    })
}

/// Writes the commands and closes the pipe, at which the engine finishes and ends.
fn send(mut stdin: ChildStdin, body: &str, count: u64) -> io::Result<()> {
    let mut batch = String::with_capacity(BATCH_BYTES + 256);
    for id in 0..count {
        let _ = writeln!(batch, "{{{body},\"id\":{id}}}");
        if batch.len() >= BATCH_BYTES {
            stdin.write_all(batch.as_bytes())?;
            batch.clear();
        }
    }
    stdin.write_all(batch.as_bytes())
}

/// Counts the results to the end; answers resident bytes after a tenth and just before the last.
fn receive(child: &mut Child, count: u64) -> io::Result<(u64, u64)> {
    let pid = child.id();
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut reader = BufReader::with_capacity(256 << 10, stdout);
    let (mut line, mut results, mut memory) = (String::new(), 0, (0, 0));
    while reader.read_line(&mut line)? > 0 {
        if line.contains("\"type\":\"result\"") {
            results += 1;
            if !line.contains("\"status\":\"ok\"") {
                return Err(io::Error::other(line));
            }
            if results == count.div_ceil(10) {
                memory.0 = measure::memory_of(pid, "VmRSS")?;
            }
            if results == count - count.div_ceil(1_000) {
                memory.1 = measure::memory_of(pid, "VmRSS")?;
            }
        }
        line.clear();
    }
    if results == count { Ok(memory) } else { Err(io::Error::other(format!("{results} answers"))) }
}

fn processes(setting: &Setting, file: &Path) -> io::Result<String> {
    let Some(program) = setting.tools.peer("sha256sum") else {
        return Ok("absent | | | | | ".to_owned());
    };
    let command = [program.into_os_string(), file.into()];
    let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..PROCESSES {
        let sample = measure::run(&command, &setting.scratch)?;
        wall += sample.wall;
        cpu += sample.cpu;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / PROCESSES as f64;
    Ok(format!("{PROCESSES} | {:.2} | {:.2} | | | ", each(wall), each(cpu)))
}
