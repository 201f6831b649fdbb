//! The published description of the protocol, made from the structs that read and write it.

pub mod commands;
pub mod document;
pub mod errors;
pub mod events;
pub mod ops;

pub use document::{DOCUMENTS, Document};
