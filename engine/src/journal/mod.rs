//! What outlives a job: who writes where, what a keyed command already did, full lists of
//! failures. All of it lies in the state directory, each record in a file of its own, held by a
//! lock that dies with its process.

pub mod attempt;
pub mod begun;
pub mod keyed;
pub mod list;
pub mod partial;
pub mod report;
mod signed;
pub mod spill;
pub mod state;
pub mod together;
