//! What differs between services: how requests are signed, and how refusals are read.

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::call::{Refusal, Request};
use crate::remote::headers::Headers;

/// Signs requests. Called anew for each attempt, since signatures hold the time.
pub trait Signer: Send + Sync {
    /// Adds fields that prove who asks. `host` is added by the transport, and is
    /// [`Origin::authority`](crate::remote::origin::Origin::authority) of the request's origin.
    ///
    /// # Errors
    /// `CredentialsMissing`, `CredentialsExpired`, what keeps a token from being had.
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()>;

    /// Credentials were refused as expired: forgets what was cached. Whether new ones may be had,
    /// so that the request is worth sending once more.
    fn renew(&self) -> bool {
        false
    }
}

/// Signs nothing.
pub struct Anonymous;

impl Signer for Anonymous {
    fn sign(&self, _request: &mut Request<'_>, _now: Timestamp) -> Result<()> {
        Ok(())
    }
}

/// Reads a service's refusals.
pub trait Dialect: Send + Sync {
    /// What an answer that is no success means. `body` is at most the first 64 KiB of it.
    fn refusal(&self, status: u16, headers: &Headers, body: &[u8]) -> Refusal;

    /// A refusal in the whole body of an answer whose status said success. Asked by
    /// [`Client::fetch`](crate::remote::client::Client::fetch) alone, and treated as any other.
    fn hidden(&self, _body: &[u8]) -> Option<Refusal> {
        None
    }

    /// Whether a signed request that is sent on to another place goes there, unsigned. Nothing that
    /// was not signed needs to ask.
    fn follows(&self) -> bool {
        false
    }
}
