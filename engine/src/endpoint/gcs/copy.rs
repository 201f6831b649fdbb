//! Has the service copy objects by itself, however long they are.

use serde::Deserialize;

use crate::endpoint::store::verbs::{From, Object, Put};
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};
use crate::remote::encode;

use super::bucket::{Bucket, conditioned, garbled};
use super::put::REWRITE;
use super::resource::{FIELDS, Fields, Resource};

/// Answers in a row that tell of no progress, after which a rewrite is given up.
const IDLE_MAX: u32 = 16;

/// What a rewrite has done so far.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rewritten {
    done: bool,
    rewrite_token: Option<String>,
    #[serde(default)]
    total_bytes_rewritten: Option<String>,
    resource: Option<Resource>,
}

impl Bucket {
    pub(super) fn copy(&self, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
        let Some(bucket) = self.neighbour(from.store.identity()) else { return Ok(None) };
        let source = format!(
            "/storage/v1/b/{}/o/{}",
            encode::component(bucket.as_bytes()),
            encode::component(from.object.key.as_bytes())
        );
        let version = from.object.version;
        let found = match self.source(&source, version) {
            Ok(found) => found,
            Err(failure) if failure.class == Class::NotFound => return Err(changed()),
            // Whoever writes here may not be allowed to read there.
            Err(failure) if matches!(failure.class, Class::Forbidden | Class::Refused) => {
                return Ok(None);
            }
            Err(f) => return Err(self.failed(&f, Verb::Look, "failed to look at the source")),
        };
        let (crc, size) = (found.crc32c(), found.size);
        let generation = found.generation.clone();
        let fields = Fields::of(&self.options, put).or_as(found);
        let path = format!("{source}/rewriteTo{}", self.target(key));
        let sent = match self.rewrite(&path, &generation, &fields, put) {
            Err(failure) if failure.class == Class::NotFound => return Err(changed()),
            // The way through this process tells which right is missing, if it needs that too.
            Err(failure) if failure.class == Class::Forbidden => return Ok(None),
            sent => sent,
        };
        let made = self.settled(sent, key, put, "failed to copy the object")?;
        if let Some(crc) = crc {
            self.proven(key, &made, crc, size)?;
        }
        Ok(Some(made.object()))
    }

    fn target(&self, key: &str) -> String {
        self.object("", key).replacen("/storage/v1", "", 1)
    }

    fn source(&self, path: &str, version: Version) -> Result<Resource, Failure> {
        let request = self.request(Verb::Look, "GET", path.to_owned()).query("fields", FIELDS);
        self.ask(&match version.is_none() {
            true => request,
            false => request.query("generation", version.as_str()),
        })
    }

    /// Asks until all is rewritten; each answer has the token of the next question.
    fn rewrite(
        &self,
        path: &str,
        generation: &str,
        fields: &Fields,
        put: &Put,
    ) -> Result<Resource, Failure> {
        let body = serde_json::to_vec(fields);
        let body = body.map_err(|_| garbled(None, "the metadata cannot be written"))?;
        let (mut token, mut bytes, mut idle) = (None::<String>, 0, 0);
        loop {
            let request = self
                .written(self.request(Verb::Control, "POST", path.to_owned()), REWRITE)
                .query("sourceGeneration", generation)
                .header("content-type", "application/json")
                .body(&body);
            let request = conditioned(request, put.condition);
            let answer: Rewritten = self.ask(&match &token {
                Some(token) => request.query("rewriteToken", token.as_str()),
                None => request,
            })?;
            if answer.done {
                let resource = answer.resource;
                return resource.ok_or_else(|| garbled(None, "the copy is done and is not told"));
            }
            let told = answer.total_bytes_rewritten.and_then(|text| text.parse().ok());
            let now: u64 = told.unwrap_or(bytes);
            idle = if now > bytes { 0 } else { idle + 1 };
            bytes = now;
            if answer.rewrite_token.is_none() || idle > IDLE_MAX {
                return Err(garbled(None, "the copy is not done and does not go on"));
            }
            token = answer.rewrite_token;
        }
    }
}

fn changed() -> EngineError {
    EngineError::new(Kind::SourceChanged, "the object was removed or replaced since it was seen")
}
