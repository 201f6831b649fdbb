//! The three ways that Azure Storage takes a proof, behind one signer: which it is shows only when
//! credentials were found.

use std::sync::Arc;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::call::Request;
use crate::remote::credentials::cached::Lent;
use crate::remote::dialect::Signer;
use crate::remote::sign::bearer::{self, Token};
use crate::remote::sign::sas::Sas;
use crate::remote::sign::shared_key::AccountKey;
use crate::remote::sign::source::Source;

/// What a request is proven with.
pub(super) enum Proof {
    Key(AccountKey),
    Sas(Sas),
    Token(Token),
}

impl Proof {
    /// A signed query, which stays as it is.
    pub(super) fn sas(sas: Sas) -> Lent<Self> {
        Lent::fixed(Self::Sas(sas))
    }
}

/// Signs with the proof of a source.
pub(super) struct ProofSigner(pub(super) Arc<dyn Source<Proof>>);

impl Signer for ProofSigner {
    fn sign(&self, request: &mut Request<'_>, now: Timestamp) -> Result<()> {
        match &*self.0.get(now)? {
            Proof::Key(key) => key.add(request, now),
            Proof::Sas(sas) => sas.add(request, now),
            Proof::Token(token) => bearer::add(token, request),
        }
    }

    fn renew(&self) -> bool {
        self.0.renew()
    }
}
