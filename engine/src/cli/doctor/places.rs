//! Checks of directories.

use std::path::Path;

use crate::cli::doctor::check::Check;
use crate::cli::view::words;
use crate::journal::state::StateDir;
use crate::platform::operator;

/// Free space below which it is time to look.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Whether the state directory can be used, and only by this user.
#[must_use]
pub fn state(path: Option<&Path>) -> Check {
    let fix = "give a directory of your own with --state-dir";
    let Some(path) = path else {
        return Check::fail("state_dir", "neither HOME nor XDG_STATE_HOME is set", fix);
    };
    let shown = path.display();
    if let Err(error) = StateDir::open(path) {
        return Check::fail("state_dir", error.to_string(), fix);
    }
    let opened = operator::open_dir(path.as_os_str().as_encoded_bytes());
    match opened.and_then(|dir| dir.own_facts()) {
        Ok(facts) if facts.attributes.mode & 0o077 == 0 => {
            Check::ok("state_dir", format!("{shown}, private"))
        }
        Ok(facts) => {
            let mode = facts.attributes.mode;
            let detail = format!("{shown} is open to others (mode {mode:o})");
            Check::warn("state_dir", detail, format!("chmod 700 {shown}"))
        }
        Err(errno) => Check::fail("state_dir", format!("{shown}: {errno}"), fix),
    }
}

/// Space left in a directory.
#[must_use]
pub fn space(name: &str, path: &[u8]) -> Option<Check> {
    let id = format!("{name}.free_space");
    let stat = operator::open_dir(path).and_then(rustix::fs::fstatvfs).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let detail = format!("{} free", words::bytes(free));
    if free >= FREE_BYTES_MIN {
        return Some(Check::ok(id, detail));
    }
    Some(Check::warn(id, detail, "free space, or use another filesystem"))
}
