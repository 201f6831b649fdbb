//! Secrets by reference, and their values once read: never printed, wiped on drop.

use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file of the operator.
    File(Vec<u8>),
    /// An inherited descriptor.
    Fd(u32),
    /// A program's output.
    Command(Vec<String>),
}

/// A secret's value. Its `Debug` prints no byte of it.
pub type Secret = SecretSlice<u8>;
