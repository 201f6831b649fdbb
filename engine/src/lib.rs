//! The engine: moves bytes of named items, checks them, and says what it did.
//!
//! Bird's eye in `ARCHITECTURE.md`. The lane of one copy: `serve` → `command` → `pipeline` (feed,
//! content, publish) → `endpoint`, with `job` at hand all the way.

pub mod archive;
pub mod cli;
pub mod codec;
pub mod command;
pub mod endpoint;
pub mod error;
pub mod job;
pub mod journal;
pub mod limits;
pub mod model;
pub mod pipeline;
pub mod plan;
pub mod platform;
pub mod progress;
pub mod remote;
pub mod resource;
pub mod serve;
pub mod settings;
pub mod table;
pub mod wire;
