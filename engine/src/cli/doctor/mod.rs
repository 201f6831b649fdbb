//! Checks of this machine. Each is one function that answers one or more [`check::Check`]s; none
//! leaves anything behind.

pub mod check;
mod filesystem;
mod places;
mod process;
mod run;
mod secrets;

pub use run::examine;
