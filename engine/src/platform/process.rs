//! This process and its host: clocks, memory, handles, the parent.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit};

/// CPU time of the whole process.
#[must_use]
pub fn cpu_time() -> Duration {
    let spec = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(spec.tv_sec.max(0) as u64, spec.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// A line of `/proc/self/status` in KiB, as bytes; 0 where the system has none.
fn status_bytes(name: &str) -> u64 {
    let status = std::path::Path::new("/proc/self/status");
    let text = crate::platform::operator::read_small(status, 64 << 10).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().split(' ').next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// Greatest resident memory so far, bytes, at most 10 ms old: the system formats a page of text for
/// each reading, which is more than a small command costs.
#[must_use]
pub fn peak_rss_bytes() -> u64 {
    static LAST: Mutex<Option<(Instant, u64)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match *last {
        Some((at, bytes)) if at.elapsed() < Duration::from_millis(10) => bytes,
        _ => {
            let bytes = status_bytes("VmHWM:");
            *last = Some((Instant::now(), bytes));
            bytes
        }
    }
}

/// Resident memory now, bytes.
#[must_use]
pub fn rss_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// Threads of this process.
#[must_use]
pub fn threads() -> u64 {
    status_bytes("Threads:") / 1024
}

/// Raises the limit of open files as far as allowed, and forbids core dumps: they would hold
/// secrets. Best effort; `doctor` shows what came of it.
pub fn prepare_limits() {
    let files = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: files.maximum, maximum: files.maximum };
    let _ = rustix::process::setrlimit(Resource::Nofile, raised);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
}

/// Whether this process acts for the privileged user.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group that new files of this process belong to.
#[must_use]
pub fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// Limit of open files; `None` where there is none.
#[must_use]
pub fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(Resource::Nofile).current
}

/// Processors this process may use, asked for once: the answer is read from several files.
#[must_use]
pub fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Waits until the process `pid` is gone. Returns false at once when it cannot be watched, as for
/// one that is not visible from here.
#[must_use]
pub fn wait_gone(pid: u32) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return false;
    };
    loop {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(n) if n > 0 => return true,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Whether the other end of standard input is closed, whatever of it is not read yet.
#[must_use]
pub fn stdin_hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok()
        && fds.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

/// Permission bits that new files of this process lack.
#[must_use]
pub fn umask() -> u32 {
    static UMASK: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = std::path::Path::new("/proc/self/status");
        let text = crate::platform::operator::read_small(status, 64 << 10).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().find_map(|line| line.strip_prefix("Umask:"));
        line.and_then(|octal| u32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0o077)
    })
}
