//! The nouns: what everything else talks about. No I/O, no clock, no threads.

pub mod catalog;
pub mod choice;
pub mod crc;
pub mod crc_join;
pub mod digest;
pub mod extended;
pub mod forms;
pub mod found;
pub mod item;
pub mod kind;
pub mod lease;
pub mod leftover;
pub mod location;
pub mod loss;
pub mod parts;
pub mod path;
pub mod rows;
pub mod secret;
pub mod selection;
pub mod store;
pub mod version;
