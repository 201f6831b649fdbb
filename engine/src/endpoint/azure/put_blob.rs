//! Put Blob: a whole object in one request.

use crate::endpoint::azure::checks::{self, Verdict};
use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::properties;
use crate::endpoint::store::verbs::{Put, Whole};
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Request, Verb};
use crate::remote::client::Answer;

const DOING: &str = "failed to write the object";
/// Longest body of an answer that is passed over, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

impl Container {
    /// Puts a whole object.
    pub(super) fn put_blob(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
        let mut request = self.blob(Verb::Write, "PUT", key)?.body(bytes);
        request.headers.set("x-ms-blob-type", "BlockBlob");
        self.written.add(&mut request, put)?;
        self.add_key(&mut request);
        let crc = self.checksum(bytes, put.digest)?;
        match self.send_checked(&request, crc) {
            Ok(answer) => {
                let version = answer.headers.get("etag").and_then(properties::version);
                version.ok_or_else(|| garbled(DOING, "its version is missing"))
            }
            Err(failure) if is_disproved(&failure) => Err(self.disproved(key, put)),
            Err(failure) => {
                let found = self.settle(key, put, &failure, DOING)?;
                if found.size == bytes.len() as u64 {
                    return Ok(found.version);
                }
                Err(self.error(&failure, Verb::Write, DOING))
            }
        }
    }

    /// What the store says to be other bytes than were sent is taken away again.
    fn disproved(&self, key: &str, put: &Put) -> EngineError {
        let own = self.own(key, put);
        let gone = own.is_none_or(|made| self.delete(key, made.version).unwrap_or(false));
        let kept = if gone { "removed" } else { "left there" };
        let why = format!("the object is not what was sent, by the service's checksum, and {kept}");
        EngineError::new(Kind::VerifyMismatch, DOING).because(why, None)
    }

    /// The CRC-64/NVME of bytes to be sent. One that was given is compared with them where the
    /// store will not do it.
    pub(super) fn checksum(&self, bytes: &[u8], given: Option<Whole>) -> Result<u64> {
        let given = checks::known(given);
        if let Some(given) = given.filter(|_| self.checks.by_crc()) {
            return Ok(given);
        }
        let crc = checks::crc64(bytes);
        if given.is_none_or(|given| given == crc) {
            return Ok(crc);
        }
        let why = "the bytes changed in memory between their checksum and their sending";
        Err(EngineError::new(Kind::DestinationWrite, why))
    }

    /// Sends a request with a checksum that the store checks.
    pub(super) fn send_checked(&self, request: &Request<'_>, crc: u64) -> Result<Answer, Failure> {
        let mut sent = request.clone();
        self.checks.add(&mut sent, crc);
        let (answer, _) = self.client.fetch(&sent, ANSWER_BYTES_MAX)?;
        match self.checks.learn(&sent.headers, &answer.headers, crc) {
            Verdict::Checked => Ok(answer),
            // By MD5 now. What was taken unchecked stands in the way of a condition.
            Verdict::Again => self
                .send_checked(request, crc)
                .map_err(|failure| Failure { unsure: true, ..failure }),
            Verdict::Differs => Err(damaged()),
        }
    }
}

/// Whether the store took what was sent and says that it was something else; what it refuses as
/// damaged has a status.
pub(super) fn is_disproved(failure: &Failure) -> bool {
    failure.class == Class::Damaged && failure.status.is_none()
}

fn damaged() -> Failure {
    Failure {
        class: Class::Damaged,
        status: None,
        code: String::new(),
        message: "the service tells another checksum of what it took".to_owned(),
        errno: None,
        unsure: true,
        retry_after: None,
    }
}
