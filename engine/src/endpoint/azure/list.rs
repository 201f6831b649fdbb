//! List Blobs, page by page.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::endpoint::azure::container::{Container, garbled};
use crate::endpoint::azure::{metadata, properties, xml};
use crate::endpoint::store::verbs::{Ask, Object, Page};
use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::call::{Class, Failure, Verb};

const DOING: &str = "failed to list the container";
/// Most entries of a page.
const PAGE_MAX: usize = 5000;
/// Entries of a page whose keys and metadata are as long as they may be.
const PAGE_LEAST: usize = 500;
/// Longest page, bytes: 5,000 entries with keys and metadata of a common length, or 500 with the
/// longest.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// A page as the service writes it.
#[derive(Debug, Deserialize)]
#[serde(rename = "EnumerationResults", rename_all = "PascalCase")]
pub struct Results {
    blobs: Entries,
    /// Empty on the last page; a page without it is no whole page.
    next_marker: String,
}

#[derive(Debug, Default, Deserialize)]
struct Entries {
    #[serde(rename = "$value", default)]
    all: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
enum Entry {
    Blob(Blob),
    BlobPrefix(Prefix),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Prefix {
    name: Name,
}

/// An entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Blob {
    name: Name,
    properties: Properties,
    metadata: Option<BTreeMap<String, String>>,
}

/// Characters that XML cannot hold make the service encode the whole name.
#[derive(Debug, Deserialize)]
struct Name {
    #[serde(rename = "@Encoded", default)]
    encoded: bool,
    #[serde(rename = "$text", default)]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "Content-Length")]
    size: Option<u64>,
    #[serde(rename = "Etag")]
    etag: Option<String>,
    #[serde(rename = "Last-Modified")]
    modified: Option<String>,
    #[serde(rename = "Content-MD5")]
    md5: Option<String>,
    #[serde(rename = "AccessTier")]
    tier: Option<String>,
    /// `directory` in accounts with a hierarchical namespace.
    #[serde(rename = "ResourceType")]
    resource: Option<String>,
}

impl Container {
    /// One page of a listing, metadata included: it holds the times that items are compared by.
    pub(super) fn list_blobs(&self, ask: &Ask<'_>) -> Result<Page> {
        let results = self.page(ask, "metadata")?;
        let mut page = Page { next: results.next(ask.next)?, ..Page::default() };
        for entry in results.blobs.all {
            match entry {
                Entry::Blob(blob) if blob.is_directory() => {}
                Entry::Blob(blob) => page.objects.push(blob.object(ask.prefix)?),
                Entry::BlobPrefix(prefix) => page.prefixes.push(prefix.name.read(ask.prefix)?),
            }
        }
        page.wrong(ask).map_or(Ok(page), |why| Err(garbled(DOING, why)))
    }

    /// Keys of a page, with what their answers say, uncommitted ones included.
    pub(super) fn page_of_uncommitted(&self, ask: &Ask<'_>) -> Result<Uncommitted> {
        let results = self.page(ask, "uncommittedblobs")?;
        let (next, is_empty) = (results.next(ask.next)?, results.blobs.all.is_empty());
        let mut found = Vec::new();
        for entry in results.blobs.all {
            if let Entry::Blob(blob) = entry
                && blob.may_be_uncommitted()
            {
                let begun = blob.properties.modified.as_deref().and_then(properties::http_date);
                found.push(Empty {
                    key: blob.name.read(ask.prefix)?,
                    begun: begun.unwrap_or_default(),
                });
            }
        }
        Ok(Uncommitted { found, next, is_empty })
    }

    fn page(&self, ask: &Ask<'_>, include: &str) -> Result<Results> {
        let most = ask.most.clamp(1, PAGE_MAX).to_string();
        let mut request = self.container(Verb::List, "GET").query("comp", "list");
        request = request.query("include", include).query("maxresults", most);
        let optional = [
            ("prefix", (!ask.prefix.is_empty()).then_some(ask.prefix)),
            ("delimiter", ask.folded.then_some("/")),
            ("marker", ask.next),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                request = request.query(name, value);
            }
        }
        let body = match self.client.fetch(&request, PAGE_BYTES_MAX) {
            Ok((_, body)) => body,
            // Perhaps too long: keys and metadata may be ten times what is common.
            Err(failure) if failure.class == Class::Garbled && ask.most > PAGE_LEAST => {
                return self.page(&Ask { most: PAGE_LEAST, ..*ask }, include);
            }
            Err(failure) => return Err(self.error(&no_container(failure), Verb::List, DOING)),
        };
        xml::read(&body).ok_or_else(|| garbled(DOING, "it is no page of a listing"))
    }
}

/// A page of keys that may have blocks that wait.
pub struct Uncommitted {
    /// They, of all that the page tells.
    pub found: Vec<Empty>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// Whether the page tells nothing at all: pages of committed keys alone are common.
    pub is_empty: bool,
}

/// A key without content, which may have blocks that wait to be committed.
pub struct Empty {
    /// Which.
    pub key: String,
    /// When it was begun, as far as the service tells.
    pub begun: Timestamp,
}

/// What is not found by a listing is the container, whatever the service calls it: to those who do
/// not say who they are it is a resource.
fn no_container(failure: Failure) -> Failure {
    let class = if failure.class == Class::NotFound { Class::NoBucket } else { failure.class };
    Failure { class, ..failure }
}

impl Results {
    /// How to ask for the next page. One that leads to itself never ends.
    fn next(&self, asked: Option<&str>) -> Result<Option<String>> {
        if !self.next_marker.is_empty() && asked == Some(&self.next_marker) {
            return Err(garbled(DOING, "a page names itself as the next one"));
        }
        Ok(Some(self.next_marker.clone()).filter(|marker| !marker.is_empty()))
    }
}

impl Name {
    /// The key. It begins with what was asked for, or the page is another one.
    fn read(&self, prefix: &str) -> Result<String> {
        let key = if self.encoded { decode(&self.text) } else { Some(self.text.clone()) };
        let key = key.filter(|key| !key.is_empty() && key.starts_with(prefix));
        key.ok_or_else(|| garbled(DOING, "a page holds keys that were not asked for"))
    }
}

/// Reads percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        out.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = tail.get(2..).unwrap_or_default();
    }
    String::from_utf8(out).ok()
}

impl Blob {
    fn is_directory(&self) -> bool {
        let marks = |all: &BTreeMap<String, String>| {
            let mark = all.iter().find(|(name, _)| name.eq_ignore_ascii_case(properties::FOLDER));
            mark.is_some_and(|(_, value)| value.eq_ignore_ascii_case("true"))
        };
        let is_marker =
            self.properties.size == Some(0) && self.metadata.as_ref().is_some_and(marks);
        self.properties.resource.as_deref() == Some("directory") || is_marker
    }

    /// What was put in one request has the service's digest, also when it is empty.
    fn may_be_uncommitted(&self) -> bool {
        let is_empty = self.properties.size.unwrap_or_default() == 0;
        let has_digest = self.properties.md5.as_deref().is_some_and(|md5| !md5.is_empty());
        is_empty && !has_digest && !self.is_directory()
    }

    fn object(self, prefix: &str) -> Result<Object> {
        let Self { name, properties: known, metadata } = self;
        let missing = || garbled(DOING, "the size, version or time of an object is missing");
        let encrypted = |all: &BTreeMap<String, String>| all.contains_key("@Encrypted");
        let metadata = metadata.filter(|all| !encrypted(all));
        let renamed = |all: BTreeMap<String, String>| {
            all.into_iter().map(|(name, value)| (metadata::common_name(&name), value)).collect()
        };
        Ok(Object {
            key: name.read(prefix)?,
            size: known.size.ok_or_else(missing)?,
            version: known.etag.as_deref().and_then(properties::version).ok_or_else(missing)?,
            modified: known
                .modified
                .as_deref()
                .and_then(properties::http_date)
                .ok_or_else(missing)?,
            metadata: metadata.map(renamed),
            archived: known.tier.as_deref() == Some("Archive"),
            ..Object::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(blobs: &str, marker: &str) -> String {
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\
             \"https://a.blob.core.windows.net/\" ContainerName=\"c\"><Prefix>p</Prefix>\
             <MaxResults>5</MaxResults><Blobs>{blobs}</Blobs>{marker}</EnumerationResults>"
        )
    }

    fn blob(name: &str, more: &str) -> String {
        format!(
            "<Blob>{name}<Properties><Creation-Time>Sat, 21 Nov 2026 19:31:12 GMT</Creation-Time>\
             <Last-Modified>Sat, 21 Nov 2026 19:31:12 GMT</Last-Modified><Etag>0x8D</Etag>\
             <Content-Length>3</Content-Length><Content-MD5/><AccessTier>Archive</AccessTier>\
             <LeaseState>available</LeaseState></Properties>{more}<OrMetadata/></Blob>"
        )
    }

    fn read(text: &str) -> Option<Results> {
        xml::read(text.as_bytes())
    }

    fn objects(results: Results, prefix: &str) -> Vec<Result<Object>> {
        let blobs = results.blobs.all.into_iter().filter_map(|entry| match entry {
            Entry::Blob(blob) => Some(blob.object(prefix)),
            Entry::BlobPrefix(_) => None,
        });
        blobs.collect()
    }

    #[test]
    fn pages_hold_objects_and_prefixes_in_any_order() {
        let first = blob(
            "<Name> p &amp;&#x20;&lt; </Name>",
            "<Metadata><mig_write>7</mig_write>\
             <a>x &gt; y</a><b /></Metadata>",
        );
        let second = blob("<Name Encoded=\"true\">p%EF%BF%BE%2F</Name>", "");
        let third = blob("<Name>p</Name>", "<Metadata Encrypted=\"true\" />");
        let prefix = "<BlobPrefix><Name>p/</Name></BlobPrefix>";
        let text =
            page(&[first.as_str(), prefix, &second, &third].concat(), "<NextMarker>m</NextMarker>");
        let results = read(&text).unwrap();
        assert_eq!(results.next(None).unwrap().as_deref(), Some("m"));
        assert!(results.next(Some("m")).is_err());
        let found: Vec<Object> = objects(results, "").into_iter().map(Result::unwrap).collect();
        assert_eq!(found[0].key, " p & < ");
        assert_eq!((found[0].size, found[0].archived), (3, true));
        assert_eq!(found[0].version.as_str(), "\"0x8D\"");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let metadata = [pair("a", "x > y"), pair("b", ""), pair("mig-write", "7")];
        assert_eq!(found[0].metadata.as_deref(), Some(&metadata[..]));
        assert_eq!((found[1].key.as_str(), &found[1].metadata), ("p\u{fffe}/", &None));
        assert_eq!(found[2].metadata, None);
    }

    #[test]
    fn a_page_that_is_cut_or_strange_is_no_end_of_the_listing() {
        let end = "<NextMarker />";
        let whole = page(&blob("<Name>p</Name>", ""), end);
        assert_eq!(read(&whole).unwrap().next(None).unwrap(), None);
        assert!(read(&page("", end)).unwrap().blobs.all.is_empty());
        for cut in (0..whole.len() - 1).filter(|cut| whole.is_char_boundary(*cut)) {
            assert!(read(&whole[..cut]).is_none(), "{}", &whole[..cut]);
        }
        for text in [
            page("", ""),
            page("<Strange/>", end),
            page("<Blob><Name>p</Name></Blob>", end),
            page(&blob("<Name>&boom;</Name>", ""), end),
            "<Error><Code>ServerBusy</Code></Error>".to_owned(),
            "{}".to_owned(),
        ] {
            assert!(read(&text).is_none(), "{text}");
        }
        let nested = "<a>".repeat(200_000);
        assert!(read(&page(&nested, end)).is_none());
    }

    #[test]
    fn keys_that_were_not_asked_for_are_refused() {
        for name in ["<Name>q</Name>", "<Name/>", "<Name Encoded=\"true\">p%zz</Name>"] {
            let found = objects(read(&page(&blob(name, ""), "<NextMarker/>")).unwrap(), "p");
            assert_eq!(found[0].as_ref().unwrap_err().kind(), crate::error::Kind::RemoteAnswer);
        }
    }
}
