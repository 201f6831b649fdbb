//! What may end the session from outside: signals, the parent's end.

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::platform::process;
use crate::serve::dispatch::Event;

/// Reports the first signal as an event, and exits at once on the second. A file beyond the limit of
/// this process is an error of the write, not the end of the process.
///
/// # Errors
/// Whatever the system says.
pub fn signals(events: Sender<Event>) -> std::io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default())?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    spawn("signals", move || {
        let mut seen = false;
        for signal in signals.forever() {
            if seen {
                std::process::exit(128 + signal);
            }
            seen = true;
            let _ = events.send(Event::Signal(signal));
        }
    })
}

/// Reports the end of process `pid`. One that cannot be seen from here is not watched.
///
/// # Errors
/// Whatever the system says.
pub fn parent(pid: u32, events: Sender<Event>) -> std::io::Result<()> {
    spawn("parent", move || {
        if process::wait_gone(pid) {
            let _ = events.send(Event::ParentGone);
        }
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
