//! ListObjectsV2.

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{answer, xml};
use crate::endpoint::store::verbs::{Ask, Object, Page};
use crate::error::Result;
use crate::remote::call::Verb;

const DOING: &str = "failed to list the bucket";
/// Most entries of a page.
const ENTRIES_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
    #[serde(default)]
    contents: Vec<Entry>,
    #[serde(default)]
    common_prefixes: Vec<Prefix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    size: u64,
    #[serde(rename = "ETag", default)]
    etag: String,
    last_modified: String,
    #[serde(default)]
    storage_class: String,
    restore_status: Option<Restore>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Restore {
    #[serde(default)]
    is_restore_in_progress: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Prefix {
    prefix: String,
}

/// One page of a listing.
///
/// # Errors
/// `ListPermission`, `BucketNotFound`, …; `RemoteAnswer` for a page that is not what was asked for.
pub fn list(bucket: &Bucket, ask: &Ask<'_>) -> Result<Page> {
    let most = ask.most.clamp(1, ENTRIES_MAX);
    let mut request = bucket
        .request(Verb::List, "GET", "")
        .query("list-type", "2")
        .query("encoding-type", "url")
        .query("max-keys", most.to_string())
        .query("prefix", ask.prefix);
    if ask.folded {
        request = request.query("delimiter", "/");
    }
    if let Some(next) = ask.next {
        request = request.query("continuation-token", next);
    }
    if bucket.style().is_aws() {
        request.headers.add("x-amz-optional-object-attributes", "RestoreStatus");
    }
    let (_, body) = bucket.fetch(request).map_err(|f| bucket.error(&f, Verb::List, DOING))?;
    page(&body, ask).map_err(|why| xml::garbled(DOING, why))
}

fn page(body: &[u8], ask: &Ask<'_>) -> Result<Page, String> {
    let listing: Listing = xml::read(body, "ListBucketResult")?;
    let next = next(&listing, ask)?;
    let encoded = is_encoded(listing.encoding_type.as_deref())?;
    let mut page = Page { next, ..Page::default() };
    for entry in listing.contents {
        let key = decoded(entry.key.clone(), encoded)?;
        if !key.starts_with(ask.prefix) {
            return Err("a key in it does not begin as was asked".to_owned());
        }
        if is_folder(&key, &entry) {
            continue;
        }
        page.objects.push(object(key, &entry)?);
    }
    for entry in listing.common_prefixes {
        page.prefixes.push(decoded(entry.prefix, encoded)?);
    }
    page.wrong(ask).map_or(Ok(page), |why| Err(why.to_owned()))
}

/// A directory of a store over a tree of files, which SeaweedFS lists by itself once it is empty. It
/// is no object: nobody made it, and it has no version.
fn is_folder(key: &str, entry: &Entry) -> bool {
    key.ends_with('/') && entry.size == 0 && entry.etag.trim_matches('"').is_empty()
}

fn next(listing: &Listing, ask: &Ask<'_>) -> Result<Option<String>, String> {
    if !listing.is_truncated {
        return Ok(None);
    }
    match listing.next_continuation_token.as_deref() {
        None | Some("") => Err("it is cut off and does not tell how to go on".to_owned()),
        Some(next) if Some(next) == ask.next => Err("it goes on where it began".to_owned()),
        Some(next) => Ok(Some(next.to_owned())),
    }
}

fn object(key: String, entry: &Entry) -> Result<Object, String> {
    let restored = entry.restore_status.as_ref().is_some_and(|r| !r.is_restore_in_progress);
    Ok(Object {
        key,
        size: entry.size,
        version: answer::version(&entry.etag)?,
        modified: answer::date(&entry.last_modified)?,
        archived: answer::is_archive(&entry.storage_class) && !restored,
        ..Object::default()
    })
}

/// Whether names in an answer are encoded.
///
/// # Errors
/// For an encoding that nobody asked for.
fn is_encoded(encoding: Option<&str>) -> Result<bool, String> {
    match encoding {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(format!("it is encoded by {}", other.escape_debug())),
    }
}

/// A name as it is: by `encoding-type=url` it came as in forms, a blank as `+`.
///
/// # Errors
/// For what is no encoding of UTF-8.
fn decoded(name: String, encoded: bool) -> Result<String, String> {
    if !encoded || !name.contains(['%', '+']) {
        return Ok(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
                let pair = digit(0).zip(digit(1)).ok_or("a key in it is encoded wrongly")?;
                bytes.push((pair.0 * 16 + pair.1) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| "a key in it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'a>(prefix: &'a str, next: Option<&'a str>) -> Ask<'a> {
        Ask { prefix, folded: true, next, most: 1000 }
    }

    fn xml(entries: &str, end: &str) -> String {
        format!("<ListBucketResult>{entries}{end}</ListBucketResult>")
    }

    fn entry(key: &str) -> String {
        format!(
            "<Contents><Key>{key}</Key><Size>3</Size><ETag>&#34;x&#34;</ETag>\
             <LastModified>2015-10-21T07:28:00.000Z</LastModified>\
             <StorageClass>GLACIER</StorageClass></Contents>"
        )
    }

    const END: &str = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>";

    #[test]
    fn pages_are_read_with_their_keys_decoded() {
        let folded = "<CommonPrefixes><Prefix>a/b+c/</Prefix></CommonPrefixes>";
        let more = "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <NextContinuationToken>t</NextContinuationToken>";
        let text = xml(&[&entry("a/%C3%A9+%2B%01"), folded, &entry("a/-")].concat(), more);
        let page = page(text.as_bytes(), &ask("a/", None)).unwrap();
        assert_eq!(page.objects[0].key, "a/é +\u{1}");
        assert_eq!((page.objects[1].key.as_str(), page.objects[1].archived), ("a/-", true));
        assert_eq!(page.objects[0].version.as_str(), "\"x\"");
        assert_eq!(page.prefixes, ["a/b c/"]);
        assert_eq!(page.next.as_deref(), Some("t"));
        let plain = xml(&entry("a/+%41"), "<IsTruncated>false</IsTruncated>");
        let page = super::page(plain.as_bytes(), &ask("a/", Some("t"))).unwrap();
        assert_eq!((page.objects[0].key.as_str(), page.next), ("a/+%41", None));
    }

    #[test]
    fn directories_of_a_store_over_files_are_no_objects() {
        let marker = entry("a/made/").replace("<Size>3<", "<Size>0<");
        let folder =
            entry("a/").replace("<Size>3<", "<Size>0<").replace("&#34;x&#34;", "&#34;&#34;");
        let text = xml(&[&folder, &marker, &entry("a/b")].map(String::as_str).concat(), END);
        let page = page(text.as_bytes(), &ask("a/", None)).unwrap();
        let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["a/made/", "a/b"]);
        // Of an object, the version is missing.
        let object = xml(&folder.replace("a/", "a/x"), END);
        assert!(super::page(object.as_bytes(), &ask("a/", None)).is_err());
    }

    #[test]
    fn pages_that_are_not_what_was_asked_for_are_errors() {
        let token = "<NextContinuationToken>t</NextContinuationToken>";
        let truncated = "<IsTruncated>true</IsTruncated>";
        for text in [
            String::new(),
            "<html></html>".to_owned(),
            xml("", ""),
            xml("", truncated),
            xml("", &format!("{truncated}<NextContinuationToken/>")),
            xml("", &format!("{truncated}{token}")),
            xml(&entry("b/x"), END),
            xml(&entry("a/%4"), END),
            xml(&entry("a/%ff"), END),
            xml(&[entry("a/x"), entry("a/x")].concat(), END),
            xml("<Contents><Key>a/x</Key></Contents>", END),
            xml("<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>", END),
            xml("<CommonPrefixes><Prefix>a/x</Prefix></CommonPrefixes>", END),
            xml(
                &entry("a/x"),
                "<EncodingType>rot13</EncodingType><IsTruncated>false</IsTruncated>",
            ),
        ] {
            assert!(page(text.as_bytes(), &ask("a/", Some("t"))).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_cut_off_anywhere_is_an_error() {
        let text = xml(&entry("a/x"), END);
        for cut in 0..text.len() {
            assert!(page(&text.as_bytes()[..cut], &ask("a/", None)).is_err());
        }
        assert_eq!(page(text.as_bytes(), &ask("a/", None)).unwrap().objects.len(), 1);
    }
}
