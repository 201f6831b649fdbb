//! Lists objects, page by page.

use serde::Deserialize;

use crate::endpoint::store::verbs::{Ask, Page};
use crate::error::Result;
use crate::remote::call::{Class, Failure, Verb};

use super::bucket::{Bucket, garbled};
use super::resource::{FIELDS, Resource};

/// Most objects of a page.
const PAGE_MOST: usize = 1000;
const KIND: &str = "storage#objects";

/// A page as the service tells it. One without its kind is none: `{}` would be an empty bucket.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    kind: String,
    #[serde(default)]
    pub(super) items: Vec<Resource>,
    #[serde(default)]
    prefixes: Vec<String>,
    pub(super) next_page_token: Option<String>,
}

impl Bucket {
    pub(super) fn list(&self, ask: &Ask<'_>) -> Result<Page> {
        let listed = self.listed(ask, None);
        let listed = listed.map_err(|failure| self.unlisted(&failure))?;
        let page = Page {
            objects: listed.items.into_iter().map(Resource::object).collect(),
            prefixes: listed.prefixes,
            next: listed.next_page_token,
        };
        match page.wrong(ask) {
            None => Ok(page),
            Some(why) => Err(self.unlisted(&garbled(None, why))),
        }
    }

    /// One page, of names that fit `glob` where one is given and the service knows it.
    pub(super) fn listed(&self, ask: &Ask<'_>, glob: Option<&str>) -> Result<Listed, Failure> {
        let most = ask.most.clamp(1, PAGE_MOST).to_string();
        let fields = format!("kind,nextPageToken,prefixes,items({FIELDS})");
        let mut request = self
            .request(Verb::List, "GET", self.objects(""))
            .query("prefix", ask.prefix)
            .query("maxResults", most)
            .query("fields", fields);
        if ask.folded {
            request = request.query("delimiter", "/");
        }
        if let Some(glob) = glob {
            request = request.query("matchGlob", glob);
        }
        if let Some(next) = ask.next {
            request = request.query("pageToken", next);
        }
        checked(self.ask(&request)?, ask)
    }

    /// A listing that failed. What is not there is the bucket.
    pub(super) fn unlisted(&self, failure: &Failure) -> crate::error::EngineError {
        let class = match failure.class {
            Class::NotFound => Class::NoBucket,
            class => class,
        };
        let failure = Failure { class, ..failure.clone() };
        self.failed(&failure, Verb::List, "failed to list the bucket")
    }
}

/// The page, if it is one that can come of what was asked.
fn checked(listed: Listed, ask: &Ask<'_>) -> Result<Listed, Failure> {
    let names = listed.items.iter().map(|item| &item.name).chain(&listed.prefixes);
    let wrong = if listed.kind != KIND {
        "the answer is no page of a listing"
    } else if listed.next_page_token.as_deref().is_some_and(|t| t.is_empty()) {
        "the page has an empty token"
    } else if ask.next.is_some() && listed.next_page_token.as_deref() == ask.next {
        "the page leads to itself"
    } else if names.into_iter().any(|name| !name.starts_with(ask.prefix)) {
        "the page holds names that were not asked for"
    } else {
        return Ok(listed);
    };
    Err(garbled(None, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_whole_or_none() {
        let ask = Ask { prefix: "a/", folded: true, next: Some("t1"), most: 10 };
        let read = |text: &str| {
            let listed: Listed = serde_json::from_str(text).map_err(|_| ())?;
            checked(listed, &ask).map_err(|_| ())
        };
        let good = read(
            r#"{"kind":"storage#objects","prefixes":["a/b/"],"nextPageToken":"t2",
                "items":[{"name":"a/x","generation":"1","size":"0"}]}"#,
        );
        assert_eq!(good.unwrap().items.len(), 1);
        assert!(read(r#"{"kind":"storage#objects"}"#).is_ok());
        for bad in [
            "{}",
            r#"{"kind":"storage#object"}"#,
            r#"{"kind":"storage#objects","nextPageToken":""}"#,
            r#"{"kind":"storage#objects","nextPageToken":"t1"}"#,
            r#"{"kind":"storage#objects","prefixes":["b/"]}"#,
            r#"{"kind":"storage#objects","items":[{"name":"b","generation":"1","size":"0"}]}"#,
            r#"{"kind":"storage#objects","items":[{"name":"a/b","size":"0"}]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
