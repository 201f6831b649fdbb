//! Cold start: from nothing to the first line.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use wait4::Wait4;

use super::Setting;
use crate::measure::{self, Sample};
use crate::race::Row;
use crate::table::{self, Report};
use crate::tool::Contender;

const RUNS: u32 = 30;

/// Measures the engine's start up to its `hello`, and beside it what peers need to say who they are.
///
/// # Errors
/// What the system answers.
pub fn run(setting: &Setting) -> io::Result<Report> {
    let peers =
        [("cp", "--version"), ("rsync", "--version"), ("xcp", "--version"), ("rclone", "version")];
    let peers = peers.map(|(name, option)| Contender::reader(&setting.tools, name, &[option], &[]));
    let mut rows: Vec<Row> = peers.iter().map(Row::new).collect();
    let mut ours = Row::new(&Contender {
        name: "engine: to the hello line".to_owned(),
        ours: true,
        command: setting.tools.engine().map(|engine| vec![engine.into()]),
        copies: false,
        unpack: None,
    });
    for _ in 0..RUNS {
        for (peer, row) in peers.iter().zip(&mut rows) {
            let command = peer.command.as_deref();
            record(row, command.map(|command| measure::run(command, &setting.scratch)));
        }
        let engine = setting.tools.engine().map(|engine| vec![OsString::from(engine)]);
        record(&mut ours, engine.map(|command| hello(&command, setting)));
    }
    rows.push(ours);
    let markdown = format!("## Cold start, median of {RUNS}\n\n{}", table::starts(&rows));
    Ok(Report { markdown, sound: rows.iter().all(Row::is_sound) })
}

fn record(row: &mut Row, ran: Option<io::Result<Sample>>) {
    match (ran, &mut row.outcome) {
        (Some(Ok(sample)), Ok(samples)) => samples.push(sample),
        (Some(Err(error)), _) => row.outcome = Err(error.to_string()),
        _ => {}
    }
}

/// Wall time up to the first line; CPU and memory up to the end, which the closed pipe brings.
fn hello(command: &[OsString], setting: &Setting) -> io::Result<Sample> {
    let mut prepared = measure::prepare(command, &setting.scratch)?;
    prepared.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = prepared.spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    BufReader::new(stdout).read_line(&mut line)?;
    let wall = start.elapsed();
    drop(child.stdin.take());
    let used = child.wait4()?.rusage;
    if !line.contains("\"type\":\"hello\"") {
        return Err(io::Error::other("the first line is no hello"));
    }
    Ok(Sample {
        wall,
        synced: None,
        made_bytes: None,
        cpu: used.utime + used.stime,
        rss_bytes: used.maxrss,
        around: None,
    })
}
