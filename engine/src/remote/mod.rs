//! Talks to services over HTTP/1.1: connections, retries, rates, signatures, credentials. Knows no
//! endpoint and no store's dialect; [`client::Client`] is its face.

mod answer;
mod body;
mod breaker;
mod budget;
pub mod cache;
pub mod call;
pub mod client;
mod connect;
mod connection;
pub mod credentials;
pub mod dialect;
pub mod encode;
mod exchange;
mod failure;
mod head;
pub mod headers;
pub mod origin;
mod pace;
mod patience;
mod pool;
mod redirect;
mod resolve;
mod retry;
mod service;
pub mod settings;
pub mod sign;
mod slots;
mod stream;
mod tally;
pub mod ties;
mod tls;
mod tls_insecure;
pub mod transport;
