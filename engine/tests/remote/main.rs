//! The transport of services against servers that behave as each test tells them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

mod broken;
mod common;
mod framing;
mod proxies;
mod redirects;
mod repeat;
mod server;
mod tls;
