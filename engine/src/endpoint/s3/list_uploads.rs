//! ListMultipartUploads.
//!
//! Keys are not asked for encoded: SeaweedFS says that they are when they are not, and Ceph's gateway
//! does not say so when they are.

use serde::Deserialize;

use crate::endpoint::s3::bucket::Bucket;
use crate::endpoint::s3::{answer, xml};
use crate::endpoint::store::turns::Turns;
use crate::endpoint::store::verbs::{Begun, Upload};
use crate::error::Result;
use crate::remote::call::Verb;

const DOING: &str = "failed to list uploads";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
    #[serde(default)]
    upload: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    upload_id: String,
    initiated: String,
}

/// Where a page begins: behind this upload of this key.
type Marker = (String, String);

/// Tells every upload whose key begins so.
///
/// # Errors
/// `ListPermission`, …, and what `each` answers.
pub fn uploads(
    bucket: &Bucket,
    prefix: &str,
    each: &mut dyn FnMut(Begun) -> Result<()>,
) -> Result<()> {
    let (mut marker, mut turns): (Option<Marker>, _) = (None, Turns::default());
    loop {
        let mut request = bucket
            .request(Verb::List, "GET", "")
            .query("uploads", "")
            .query("max-uploads", "1000")
            .query("prefix", prefix);
        if let Some((key, upload)) = &marker {
            request = request.query("key-marker", key.as_str());
            request = request.query("upload-id-marker", upload.as_str());
        }
        let (_, body) =
            bucket.fetch(request).map_err(|failure| bucket.error(&failure, Verb::List, DOING))?;
        let (found, next) = page(&body, prefix).map_err(|why| xml::garbled(DOING, why))?;
        let is_empty = found.is_empty();
        found.into_iter().try_for_each(&mut *each)?;
        let token = next.as_ref().map(|(key, upload)| format!("{key}\0{upload}"));
        if !turns.leads(token.as_ref(), is_empty)? {
            return Ok(());
        }
        marker = next;
    }
}

fn page(body: &[u8], prefix: &str) -> Result<(Vec<Begun>, Option<Marker>), String> {
    let listing: Listing = xml::read(body, "ListMultipartUploadsResult")?;
    let mut found = Vec::with_capacity(listing.upload.len());
    for entry in listing.upload {
        let key = entry.key;
        if !key.starts_with(prefix) {
            return Err("a key in it does not begin as was asked".to_owned());
        }
        let begun = answer::date(&entry.initiated)?;
        found.push(Begun { upload: Upload { key, id: entry.upload_id }, begun });
    }
    let next = match (listing.is_truncated, listing.next_key_marker) {
        (false, _) => None,
        (true, Some(key)) if !key.is_empty() => {
            let upload = listing.next_upload_id_marker.unwrap_or_default();
            Some((key, upload))
        }
        (true, _) => return Err("it is cut off and does not tell how to go on".to_owned()),
    };
    Ok((found, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_read_and_strangers_refused() {
        let text = |key: &str, end: &str| {
            format!(
                "<ListMultipartUploadsResult><Upload><Key>{key}</Key>\
                 <UploadId>u</UploadId><Initiated>2015-10-21T07:28:00Z</Initiated></Upload>\
                 {end}</ListMultipartUploadsResult>"
            )
        };
        let more = "<IsTruncated>true</IsTruncated><NextKeyMarker>a+b </NextKeyMarker>\
            <NextUploadIdMarker>u</NextUploadIdMarker>";
        let (found, next) = page(text("a+%41 &#x1;", more).as_bytes(), "a").unwrap();
        assert_eq!(found[0].upload, Upload { key: "a+%41 \u{1}".to_owned(), id: "u".to_owned() });
        assert_eq!(next, Some(("a+b ".to_owned(), "u".to_owned())));
        let end = "<IsTruncated>false</IsTruncated>";
        assert!(page(text("b", end).as_bytes(), "a").is_err());
        assert!(page(text("a", "<IsTruncated>true</IsTruncated>").as_bytes(), "a").is_err());
        assert!(page(text("a", "").as_bytes(), "a").is_err());
    }
}
