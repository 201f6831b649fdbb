//! `completions SHELL`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::cli::arguments::Cli;
use crate::cli::screen::Screen;

/// The flags of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script. Returns the exit code.
    #[must_use]
    pub fn run(&self, screen: &Screen) -> u8 {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "migration-engine", &mut script);
        screen.text(&String::from_utf8_lossy(&script));
        screen.end_listing()
    }
}
