//! Credentials of Azure Storage: one file for each form of them, asked by [`chain`](fn@chain).

mod application;
mod chain;
mod connection;
mod managed;
mod proof;
mod settings;

pub use chain::{AzureChain, chain, chain_in};
