//! Checks of this process and its host.

use std::io::IsTerminal as _;

use rustix::fs::FileType;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::cli::doctor::check::Check;
use crate::cli::view::words;
use crate::platform::process;

/// Open files below which many files at once fail.
const OPEN_FILES_MIN: u64 = 1024;

/// The protocol spoken.
#[must_use]
pub fn protocol() -> Check {
    let (oldest, newest) = (migration_protocol::VERSION_MIN, migration_protocol::VERSION);
    Check::ok("protocol", format!("{oldest} to {newest}"))
}

/// The limit of open files, which the process raised as far as it may.
#[must_use]
pub fn open_files() -> Check {
    match process::open_files_max() {
        None => Check::ok("open_files", "no limit"),
        Some(limit) if limit >= OPEN_FILES_MIN => Check::ok("open_files", limit.to_string()),
        Some(limit) => Check::warn("open_files", limit.to_string(), "raise it: ulimit -Hn 65536"),
    }
}

/// The memory cap against what is there.
#[must_use]
pub fn memory(cap: u64) -> Check {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let host = system.available_memory();
    let available = system.cgroup_limits().map_or(host, |group| host.min(group.free_memory));
    let detail = format!("cap {}, available {}", words::bytes(cap), words::bytes(available));
    if cap <= available {
        return Check::ok("memory", detail);
    }
    Check::warn("memory", detail, "lower --memory-cap, or free memory")
}

/// Which instructions the digests can use.
#[must_use]
pub fn digests() -> Check {
    let found: Vec<&str> = features().into_iter().filter(|(_, has)| *has).map(|(n, _)| n).collect();
    if found.is_empty() {
        let fix = "none is needed; digests are slower on this processor";
        return Check::warn("digest_instructions", "none", fix);
    }
    Check::ok("digest_instructions", found.join(" "))
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<(&'static str, bool)> {
    vec![
        ("sha", std::arch::is_x86_feature_detected!("sha")),
        ("pclmulqdq", std::arch::is_x86_feature_detected!("pclmulqdq")),
        ("sse4.2", std::arch::is_x86_feature_detected!("sse4.2")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
        ("vpclmulqdq", std::arch::is_x86_feature_detected!("vpclmulqdq")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<(&'static str, bool)> {
    vec![
        ("sha2", std::arch::is_aarch64_feature_detected!("sha2")),
        ("crc", std::arch::is_aarch64_feature_detected!("crc")),
        ("pmull", std::arch::is_aarch64_feature_detected!("pmull")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<(&'static str, bool)> {
    Vec::new()
}

/// What standard output is.
#[must_use]
pub fn stdout() -> Check {
    let stdout = rustix::stdio::stdout();
    let kind = match rustix::fs::fstat(stdout).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(_) if std::io::stdout().is_terminal() => "terminal",
        Ok(FileType::Fifo) => "pipe",
        Ok(FileType::Socket) => "socket",
        Ok(FileType::RegularFile) => "file",
        Ok(_) => "device",
        Err(_) => "closed",
    };
    Check::ok("stdout", kind)
}
