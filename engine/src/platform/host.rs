//! This machine and its processes, as others can check them later.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::time::ClockId;

use crate::model::lease::Holder;
use crate::platform::operator;

/// Longest file of `/proc` that is read, bytes.
const PROC_BYTES_MAX: u64 = 64 << 10;
/// Place of the starting time among the words of `/proc/PID/stat` after the program's name.
const STAT_STARTED: usize = 19;

/// Time since boot, the sleep of the machine included.
#[must_use]
pub fn boottime() -> Duration {
    let spec = rustix::time::clock_gettime(ClockId::Boottime);
    Duration::new(spec.tv_sec.max(0) as u64, spec.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// A number unlike any other's.
#[must_use]
pub fn nonce() -> u64 {
    RandomState::new().hash_one((std::process::id(), boottime()))
}

/// This process.
#[must_use]
pub fn myself() -> Holder {
    let pid = std::process::id();
    Holder {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        boot_id: boot_id(),
        namespaces: namespaces(),
        pid,
        started: stat(pid).map_or(0, |(_, started)| started),
    }
}

/// Whether a process is proven dead: it ran in this boot of this machine, under the numbers that
/// hold here, and is gone or its number another's. Whatever cannot be told is no proof.
#[must_use]
pub fn is_dead(holder: &Holder) -> bool {
    let comparable = !holder.boot_id.is_empty()
        && !holder.namespaces.is_empty()
        && holder.boot_id == boot_id()
        && holder.namespaces == namespaces();
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let (true, Some(pid)) = (comparable, pid) else {
        return false;
    };
    match rustix::process::test_kill_process(pid) {
        Err(Errno::SRCH) => true,
        _ => match stat(holder.pid) {
            Some((state, started)) => matches!(state, 'Z' | 'X') || started != holder.started,
            None => false,
        },
    }
}

fn read(path: &str) -> Option<String> {
    let bytes = operator::read_small(Path::new(path), PROC_BYTES_MAX).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn boot_id() -> String {
    read("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// The namespaces of process numbers and of the clock since boot; empty where they are not told.
fn namespaces() -> String {
    let link = |name: &str| {
        let path = format!("/proc/self/ns/{name}");
        rustix::fs::readlink(path, Vec::new()).ok()?.into_string().ok()
    };
    match (link("pid"), link("time")) {
        (Some(pid), time) => [pid, time.unwrap_or_default()].join(" "),
        (None, _) => String::new(),
    }
}

/// The state of a process, and when it was started, in ticks since boot.
fn stat(pid: u32) -> Option<(char, u64)> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    let (_, words) = stat.rsplit_once(')')?;
    let started = words.split_whitespace().nth(STAT_STARTED)?.parse().ok()?;
    Some((words.trim_start().chars().next()?, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_proven_counts_as_death() {
        let living = myself();
        assert!(!is_dead(&living));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let gone = Holder { pid, ..living.clone() };
        assert!(is_dead(&gone));
        assert!(is_dead(&Holder { started: living.started + 1, ..living.clone() }));
        assert!(!is_dead(&Holder { boot_id: "another".to_owned(), ..gone.clone() }));
        assert!(!is_dead(&Holder { namespaces: "pid:[1] time:[1]".to_owned(), ..gone.clone() }));
        assert!(!is_dead(&Holder { boot_id: String::new(), ..gone }));
        assert_ne!(nonce(), nonce());
    }
}
