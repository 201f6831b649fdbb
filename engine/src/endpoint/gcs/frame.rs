//! Sends a resource and its content as one body (`multipart/related`).

use crate::endpoint::store::verbs::Condition;
use crate::remote::call::{Failure, Verb};

use super::bucket::{Bucket, conditioned, garbled};
use super::put::UPLOAD;
use super::resource::{FIELDS, Fields, Resource};

/// Type of content of which nothing is known.
const BYTES: &str = "application/octet-stream";

impl Bucket {
    /// Puts an object in one request. `nonce` keeps content from ending its own frame.
    pub(super) fn send(
        &self,
        fields: &Fields,
        nonce: &str,
        bytes: &[u8],
        condition: Condition,
    ) -> Result<Resource, Failure> {
        let resource = serde_json::to_string(fields);
        let resource = resource.map_err(|_| garbled(None, "the metadata cannot be written"))?;
        let content_type = fields.content_type.as_deref().unwrap_or(BYTES);
        let line = format!("mig-{nonce}");
        let before = format!(
            "--{line}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{resource}\r\n\
             --{line}\r\ncontent-type: {content_type}\r\n\r\n"
        );
        let request = self
            .written(self.request(Verb::Write, "POST", self.objects("/upload")), UPLOAD)
            .query("uploadType", "multipart")
            .query("fields", FIELDS)
            .header("content-type", format!("multipart/related; boundary={line}"))
            .body(bytes)
            .framed(before.into_bytes(), format!("\r\n--{line}--\r\n").into_bytes());
        self.ask(&conditioned(request, condition))
    }
}
