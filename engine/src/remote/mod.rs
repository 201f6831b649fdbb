//! Talks to services over HTTP/1.1: connections, retries, rates, signatures, credentials. Knows no
//! endpoint and no store's dialect; [`client::Client`] is its face.

mod body;
pub mod call;
pub mod client;
mod connect;
mod connection;
pub mod credentials;
pub mod dialect;
pub mod encode;
mod failure;
mod head;
pub mod headers;
pub mod origin;
mod patience;
mod resolve;
pub mod settings;
pub mod sign;
mod stream;
pub mod ties;
