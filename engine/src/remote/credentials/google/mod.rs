//! Credentials of Google Cloud: one file for each form of them, asked by [`chain`](fn@chain).

mod chain;
mod external;
mod key_file;
mod metadata;
mod service_account;
mod user;

pub use chain::{GoogleChain, chain, chain_in};
