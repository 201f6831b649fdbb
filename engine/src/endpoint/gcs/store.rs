//! The bucket as a store.

use std::ops::Range;

use crate::endpoint::store::verbs::{
    Ask, Begun, From, Object, Opened, Page, Part, Put, Rules, Store, Upload, Whole,
};
use crate::error::Result;
use crate::model::digest::Algorithm;
use crate::model::version::Version;

use super::bucket::Bucket;
use super::temporary::{self, PARTS_MAX};

/// Most bytes of an object (Google Cloud Storage, "Quotas and limits").
const OBJECT_BYTES_MAX: u64 = 5 << 40;

impl Store for Bucket {
    fn scheme(&self) -> &'static str {
        "gs"
    }

    fn rules(&self) -> Rules {
        Rules {
            part_bytes_min: 1,
            part_bytes_max: OBJECT_BYTES_MAX,
            parts_max: PARTS_MAX,
            put_bytes_max: OBJECT_BYTES_MAX,
            object_bytes_max: OBJECT_BYTES_MAX,
            copy_bytes_max: OBJECT_BYTES_MAX,
            key_bytes_max: 1024,
            parallel_parts: true,
            equal_parts: false,
            // Each has a generation of its own, by which it is composed.
            doubles: false,
            checksum: Some(Algorithm::Crc32c),
            checks_whole: true,
            creates_only: true,
            replaces_only: true,
            removes_only: true,
            lists: true,
            leaves_objects: true,
            modified_step_ns: 1_000_000,
        }
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn service(&self) -> String {
        self.service_text()
    }

    fn look(&self, key: &str) -> Result<Option<Object>> {
        Bucket::look(self, key)
    }

    fn read(&self, key: &str, version: Version, range: Option<Range<u64>>) -> Result<Opened> {
        Bucket::read(self, key, version, range)
    }

    fn list(&self, ask: &Ask<'_>) -> Result<Page> {
        Bucket::list(self, ask)
    }

    fn put(&self, key: &str, bytes: &[u8], put: &Put) -> Result<Version> {
        Bucket::put(self, key, bytes, put)
    }

    fn begin(&self, key: &str, put: &Put) -> Result<Upload> {
        Bucket::begin(self, key, put)
    }

    fn put_part(
        &self,
        upload: &Upload,
        index: u32,
        _offset: u64,
        bytes: &[u8],
        digest: Option<Whole>,
    ) -> Result<Part> {
        Bucket::put_part(self, upload, index, bytes, digest)
    }

    fn upload_of(&self, key: &str) -> Option<String> {
        temporary::read(key).map(|(id, _)| id)
    }

    fn parts(&self, upload: &Upload) -> Result<Option<Vec<Part>>> {
        // An upload without parts is as good as one that was just begun.
        Bucket::parts(self, upload).map(Some)
    }

    fn complete(&self, upload: &Upload, parts: &[Part], put: &Put) -> Result<Version> {
        Bucket::complete(self, upload, parts, put)
    }

    fn abandon(&self, upload: &Upload) -> Result<()> {
        Bucket::abandon(self, upload)
    }

    fn uploads(&self, prefix: &str, each: &mut dyn FnMut(Begun) -> Result<()>) -> Result<()> {
        Bucket::uploads(self, prefix, each)
    }

    fn copy(&self, from: &From, key: &str, put: &Put) -> Result<Option<Object>> {
        Bucket::copy(self, from, key, put)
    }

    fn remove(&self, key: &str, version: Version) -> Result<bool> {
        Bucket::remove(self, key, version)
    }
}
