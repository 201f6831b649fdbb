//! Settings from flags, environment and files, each with where it came from.
//!
//! A value is taken from the first that has it: flags, environment, the project's file, the user's,
//! the system's, the default. `files` reads the files, `environment` the variables that stand for
//! fields of commands, `resolve` chooses.

mod environment;
mod files;
mod layer;
pub mod options;
mod resolve;

pub use resolve::{Resolved, resolve};
