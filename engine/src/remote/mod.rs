//! Talks to services: over HTTP/1.1 with retries, rates, signatures and credentials, whose face is
//! [`client::Client`]; by protocols of their own through [`socket::Socket`]. Knows no endpoint and no
//! store's dialect.

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
pub mod proxy;
mod redirect;
mod resolve;
mod retry;
mod service;
pub mod settings;
pub mod sign;
mod slots;
pub mod socket;
mod stream;
mod tally;
pub mod ties;
mod tls;
mod tls_insecure;
pub mod transport;
