//! Talks to services over HTTP/1.1: connections, retries, rates, signatures, credentials. Knows no
//! endpoint and no store's dialect; [`client::Client`] is its face.

pub mod call;
pub mod client;
pub mod dialect;
pub mod encode;
pub mod headers;
pub mod origin;
pub mod ties;
