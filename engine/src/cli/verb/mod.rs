//! The verbs. One file each: its flags, and the command they make or what it prints.

pub mod capabilities;
pub mod checksum;
pub mod cleanup;
pub mod completions;
pub mod compress;
pub mod config;
pub mod copy;
pub mod decompress;
pub mod doctor;
pub mod explain;
pub mod inspect;
pub mod monitor;
pub mod plan;
pub mod run;
pub mod schema;
pub mod serve;
pub mod verify;
pub mod version;
