//! The argument forms that the assistant uses, told from those for people by their flags.

use std::ffi::{OsStr, OsString};

use clap::{Args, Parser, Subcommand};

use crate::cli::arguments::Globals;

/// The command line of the assistant's face.
#[derive(Debug, Parser)]
#[command(name = "migration-engine", disable_help_subcommand = true)]
pub struct AssistantCli {
    /// Flags of every operation.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub operation: Operation,
}

/// What the assistant asks for with flags of its own.
#[derive(Debug, Subcommand)]
pub enum Operation {
    /// Digest files with md5, sha1 and sha256
    Checksum {
        /// The files
        #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
        files: Vec<OsString>,
    },
    /// Compress a file, by the destination's extension
    Compress(Ends),
    /// Copy a file or tree over what stands there
    Copy(Ends),
    /// Copy by a named method
    Transfer {
        /// From where, to where.
        #[command(flatten)]
        ends: Ends,
        /// http, https, concurrent or chunked
        #[arg(long, default_value = "concurrent")]
        method: String,
    },
}

/// From where, to where.
#[derive(Debug, Args)]
pub struct Ends {
    /// The source
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub source: OsString,
    /// The destination
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub destination: OsString,
}

/// Whether these arguments are a form of the assistant.
#[must_use]
pub fn is_meant(arguments: &[OsString]) -> bool {
    let Some((operation, rest)) = arguments.get(1..).and_then(<[OsString]>::split_first) else {
        return false;
    };
    let flags: &[&str] = match operation.to_str() {
        Some("copy" | "compress") => &["--source", "--destination"],
        Some("checksum") => &["--files"],
        Some("transfer") => return true,
        _ => return false,
    };
    let given = rest.iter().take_while(|argument| *argument != "--");
    given.into_iter().any(|argument| flags.iter().any(|flag| is_flag(argument, flag)))
}

fn is_flag(argument: &OsStr, flag: &str) -> bool {
    let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_tell_the_faces_apart() {
        let meant = |line: &str| {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            is_meant(&arguments)
        };
        assert!(meant("me copy --source a --destination b"));
        assert!(meant("me copy --source=a --destination=b"));
        assert!(meant("me checksum --files a b") && meant("me transfer"));
        for human in ["me copy a b", "me", "me checksum a", "me copy -- --source b", "me serve"] {
            assert!(!meant(human), "{human}");
        }
    }
}
