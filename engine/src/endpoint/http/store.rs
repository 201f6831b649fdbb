//! The server as a store: looked at and read, nothing else.

use std::ops::Range;

use crate::endpoint::store::verbs::{
    Ask, Begun, Object, Opened, Page, Part, Put, Rules, Store, Upload, Whole,
};
use crate::error::Result;
use crate::model::version::Version;

use super::site::{Site, read_only, unlisted};

impl Store for Site {
    fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    fn rules(&self) -> Rules {
        Rules {
            part_bytes_min: 0,
            part_bytes_max: 0,
            parts_max: 0,
            put_bytes_max: 0,
            object_bytes_max: 0,
            copy_bytes_max: 0,
            key_bytes_max: 8 << 10,
            parallel_parts: false,
            equal_parts: false,
            doubles: false,
            checksum: None,
            checks_whole: false,
            creates_only: false,
            replaces_only: false,
            removes_only: false,
            lists: false,
            leaves_objects: false,
            modified_step_ns: 1_000_000_000,
        }
    }

    fn identity(&self) -> &str {
        &self.identity
    }

    fn look(&self, key: &str) -> Result<Option<Object>> {
        Site::look(self, key)
    }

    fn read(&self, key: &str, version: Version, range: Option<Range<u64>>) -> Result<Opened> {
        Site::read(self, key, version, range)
    }

    fn list(&self, _: &Ask<'_>) -> Result<Page> {
        Err(unlisted())
    }

    fn put(&self, _: &str, _: &[u8], _: &Put) -> Result<Version> {
        Err(read_only())
    }

    fn begin(&self, _: &str, _: &Put) -> Result<Upload> {
        Err(read_only())
    }

    fn put_part(&self, _: &Upload, _: u32, _: u64, _: &[u8], _: Option<Whole>) -> Result<Part> {
        Err(read_only())
    }

    fn parts(&self, _: &Upload) -> Result<Option<Vec<Part>>> {
        Err(read_only())
    }

    fn complete(&self, _: &Upload, _: &[Part], _: &Put) -> Result<Version> {
        Err(read_only())
    }

    fn abandon(&self, _: &Upload) -> Result<()> {
        Err(read_only())
    }

    fn uploads(&self, _: &str, _: &mut dyn FnMut(Begun) -> Result<()>) -> Result<()> {
        Err(read_only())
    }

    fn remove(&self, _: &str, _: Version) -> Result<bool> {
        Err(read_only())
    }
}
