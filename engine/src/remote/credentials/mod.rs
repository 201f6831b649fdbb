//! Finds what a request is signed with, in the order that each store's own tools look for it. A
//! chain reads and sends nothing before its first signature, but for facts that it is asked for.
//!
//! Values are in `secrecy` types; no message holds one, nor what a token service says in words of
//! its own. Services are asked over TLS alone, but those of this machine and the metadata addresses
//! that a location allows.

pub mod aws;
pub mod azure;
pub mod google;

mod answer;
mod ask;
mod cached;
pub mod environment;
mod file;
mod looked;
mod means;
mod refusal;
#[cfg(test)]
mod trial;
mod value;
