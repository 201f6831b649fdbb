//! Proofs that a client knows the password.

use secrecy::{ExposeSecret as _, zeroize::Zeroizing};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::model::secret::Secret;

/// `mysql_native_password`: `SHA1(p) ^ SHA1(nonce ‖ SHA1(SHA1(p)))`; nothing for no password.
pub(super) fn native(password: &Secret, nonce: &[u8]) -> Vec<u8> {
    let password = password.expose_secret();
    if password.is_empty() {
        return Vec::new();
    }
    let once = Zeroizing::new(Sha1::digest(password).to_vec());
    let twice = Zeroizing::new(Sha1::digest(&*once).to_vec());
    let mask = Sha1::new().chain_update(nonce).chain_update(&*twice).finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// `caching_sha2_password`: `SHA256(p) ^ SHA256(SHA256(SHA256(p)) ‖ nonce)`; nothing for no password.
pub(super) fn caching_sha2(password: &Secret, nonce: &[u8]) -> Vec<u8> {
    let password = password.expose_secret();
    if password.is_empty() {
        return Vec::new();
    }
    let once = Zeroizing::new(Sha256::digest(password).to_vec());
    let twice = Zeroizing::new(Sha256::digest(&*once).to_vec());
    let mask = Sha256::new().chain_update(&*twice).chain_update(nonce).finalize();
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_hide_the_password_and_hang_on_the_nonce() {
        let secret = |text: &str| Secret::from(text.as_bytes().to_vec());
        assert!(native(&secret(""), b"n").is_empty() && caching_sha2(&secret(""), b"n").is_empty());
        assert_eq!(
            (native(&secret("x"), b"n").len(), caching_sha2(&secret("x"), b"n").len()),
            (20, 32)
        );
        assert_ne!(native(&secret("x"), b"n"), native(&secret("x"), b"m"));
        assert_ne!(caching_sha2(&secret("x"), b"n"), caching_sha2(&secret("y"), b"n"));
    }
}
