//! One run of one command line: wall time, CPU time, peak memory.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// From before the start to the end of the process.
    pub wall: Duration,
    /// The same and a sync of the target's file system; absent where nothing is written.
    pub synced: Option<Duration>,
    /// Bytes of the file that was made; absent where none is.
    pub made_bytes: Option<u64>,
    /// User and system time of the process and the children it waited for.
    pub cpu: Duration,
    /// Peak resident memory in bytes of the largest of these processes.
    pub rss_bytes: u64,
    /// What others did meanwhile; absent where nobody looked.
    pub around: Option<Around>,
}

/// Processor time beside that of the process measured.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    /// Of the servers it talked to.
    pub servers: Duration,
    /// Of everybody else on this machine.
    pub others: Duration,
}

/// Runs `command` to its end, its standard output thrown away. The state directory of the engine
/// is inside `scratch`.
///
/// # Errors
/// What the system answers; `Other` with the end of standard error when the exit status is not 0.
pub fn run(command: &[OsString], scratch: &Path) -> io::Result<Sample> {
    let mut stderr = tempfile::tempfile_in(scratch)?;
    let mut prepared = prepare(command, scratch)?;
    prepared.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    let start = Instant::now();
    let ended = prepared.spawn()?.wait4()?;
    let wall = start.elapsed();
    if !ended.status.success() {
        return Err(io::Error::other(format!("{}: {}", ended.status, tail(&mut stderr)?)));
    }
    let used = ended.rusage;
    Ok(Sample {
        wall,
        synced: None,
        made_bytes: None,
        cpu: used.utime + used.stime,
        rss_bytes: used.maxrss,
        around: None,
    })
}

/// A command with the environment that all contenders get.
///
/// # Errors
/// `InvalidInput` when the command line is empty.
pub fn prepare(command: &[OsString], scratch: &Path) -> io::Result<Command> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut prepared = Command::new(program);
    prepared
        .args(arguments)
        .env("LC_ALL", "C")
        .env("RCLONE_CONFIG", "/dev/null")
        .env("MIGRATION_ENGINE_STATE_DIR", scratch.join("state"));
    Ok(prepared)
}

fn tail(file: &mut File) -> io::Result<String> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(64 << 10).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next_back().unwrap_or_default().to_owned())
}

/// The value in bytes of a line such as `VmRSS` in the status of process `pid`.
///
/// # Errors
/// What the system answers; `InvalidData` when there is no such line.
pub fn memory_of(pid: u32, line: &str) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    let kib = value.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<OsString> {
        ["sh", "-c", script].map(OsString::from).to_vec()
    }

    #[test]
    fn cpu_and_memory_of_grandchildren_count() {
        let scratch = tempfile::tempdir().unwrap();
        let busy = shell("dd if=/dev/zero of=/dev/null bs=64M count=4 2>/dev/null; true");
        let sample = run(&busy, scratch.path()).unwrap();
        assert!(sample.cpu > Duration::ZERO);
        assert!(sample.rss_bytes > 60 << 20, "{}", sample.rss_bytes);
    }

    #[test]
    fn failures_carry_their_last_words() {
        let scratch = tempfile::tempdir().unwrap();
        let error =
            run(&shell("echo first; echo no disk >&2; exit 3"), scratch.path()).unwrap_err();
        assert!(error.to_string().contains("no disk"), "{error}");
    }

    #[test]
    fn own_memory_is_known() {
        assert!(memory_of(std::process::id(), "VmHWM").unwrap() > 100 << 10);
    }
}
