//! The only place that prints for people. A reader that went away is noticed, never a panic.

use std::io::{BufWriter, IsTerminal as _, Stdout, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::serve::exit;

/// How a word stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Errors.
    Red,
    /// Warnings.
    Yellow,
    /// What is in order.
    Green,
}

/// Standard output and standard error.
#[derive(Debug)]
pub struct Screen {
    out: Mutex<BufWriter<Stdout>>,
    out_is_terminal: bool,
    err_is_terminal: bool,
    may_colour: bool,
    reader_gone: AtomicBool,
    write_failed: AtomicBool,
}

impl Default for Screen {
    fn default() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            out: Mutex::new(BufWriter::new(std::io::stdout())),
            out_is_terminal: std::io::stdout().is_terminal(),
            err_is_terminal: std::io::stderr().is_terminal(),
            may_colour: !set("NO_COLOR") && !dumb,
            reader_gone: AtomicBool::new(false),
            write_failed: AtomicBool::new(false),
        }
    }
}

impl Screen {
    /// Whether standard output is a terminal.
    #[must_use]
    pub fn out_is_terminal(&self) -> bool {
        self.out_is_terminal
    }

    /// Whether standard error is a terminal.
    #[must_use]
    pub fn err_is_terminal(&self) -> bool {
        self.err_is_terminal
    }

    /// Whether standard error may be coloured.
    #[must_use]
    pub fn colours_err(&self) -> bool {
        self.may_colour && self.err_is_terminal
    }

    /// A word for standard output, coloured where that is wanted.
    #[must_use]
    pub fn paint_out(&self, colour: Colour, word: &str) -> String {
        paint(self.may_colour && self.out_is_terminal, colour, word)
    }

    /// A word for standard error, coloured where that is wanted.
    #[must_use]
    pub fn paint_err(&self, colour: Colour, word: &str) -> String {
        paint(self.colours_err(), colour, word)
    }

    /// Prints a line of a result.
    pub fn line(&self, text: impl AsRef<[u8]>) {
        self.write(text.as_ref(), true);
    }

    /// Prints text as it is.
    pub fn text(&self, text: &str) {
        self.write(text.as_bytes(), false);
    }

    fn write(&self, bytes: &[u8], ends: bool) {
        if self.is_lost() {
            return;
        }
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = out.write_all(bytes);
        if ends {
            written = written.and_then(|()| out.write_all(b"\n"));
        }
        if self.out_is_terminal {
            written = written.and_then(|()| out.flush());
        }
        self.judge(written);
    }

    fn judge(&self, written: std::io::Result<()>) {
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.reader_gone.store(true, Ordering::Release);
            }
            Err(error) => {
                if !self.write_failed.swap(true, Ordering::AcqRel) {
                    self.note(&format!("error: failed to write to standard output: {error}"));
                }
            }
        }
    }

    /// Prints a line of a message. Nobody can be told when that fails.
    pub fn note(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Writes out what is held back.
    pub fn flush(&self) {
        if !self.is_lost() {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            self.judge(out.flush());
        }
    }

    /// Whether standard output takes nothing more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.reader_gone.load(Ordering::Acquire) || self.write_failed.load(Ordering::Acquire)
    }

    /// Ends a listing: the exit code. A reader that has seen enough is no failure.
    #[must_use]
    pub fn end_listing(&self) -> u8 {
        self.flush();
        if self.write_failed.load(Ordering::Acquire) { exit::OUTPUT_LOST } else { exit::OK }
    }
}

fn paint(colours: bool, colour: Colour, word: &str) -> String {
    let code = match colour {
        Colour::Red => "1;31",
        Colour::Yellow => "1;33",
        Colour::Green => "1;32",
    };
    if colours { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
}
