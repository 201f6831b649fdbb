//! Credentials of AWS and of services that speak S3: one file for each place that its own tools
//! look at, asked in their order by [`chain`](fn@chain).

mod answer;
mod chain;
mod container;
mod environment;
mod facts;
mod given;
mod imds;
mod ini;
mod process;
mod profile;
mod profiles;
mod sts;
mod web_identity;

pub use chain::{AwsChain, chain, chain_in};
