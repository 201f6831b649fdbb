//! Reads content: a range or the whole, of the version that was seen.

use std::ops::Range;

use crate::endpoint::store::verbs::Opened;
use crate::error::{EngineError, Kind, Result};
use crate::model::version::Version;
use crate::remote::call::{Class, Failure, Verb};

use super::site::{Site, failed};
use super::told;

impl Site {
    pub(super) fn read(
        &self,
        key: &str,
        version: Version,
        range: Option<Range<u64>>,
    ) -> Result<Opened> {
        let range = range.filter(|range| range.start < range.end);
        let opened = self.opened(key, version, range);
        let opened = opened.map_err(|failure| match failure.class {
            Class::Condition | Class::Range => changed(),
            _ => failed(&failure, Verb::Read, "failed to read the file"),
        })?;
        // Servers that do not know conditions are found out by what they tell.
        if version.is_none() || opened.object.version == version {
            Ok(opened)
        } else {
            Err(changed())
        }
    }

    fn opened(
        &self,
        key: &str,
        version: Version,
        range: Option<Range<u64>>,
    ) -> Result<Opened, Failure> {
        let mut fields = Vec::from_iter(told::condition(&version));
        if let Some(range) = &range {
            fields.push(("range", format!("bytes={}-{}", range.start, range.end - 1)));
        }
        let body = self.ask(Verb::Read, "GET", key, &fields)?;
        let object = told::object(body.status, &body.headers, key)?;
        let part = told::range(&body.headers).filter(|_| body.status == 206).map(|(part, _)| part);
        let fits = match (range, part) {
            (None, None) => body.status == 200,
            (None, Some(_)) => false,
            (Some(range), Some(part)) => {
                part.start == range.start
                    && (part.end == range.end || part.end < range.end && part.end == object.size)
            }
            // The whole is good where it was asked for as a range.
            (Some(range), None) => {
                body.status == 200 && !object.sizeless && range == (0..object.size)
            }
        };
        match fits {
            true => Ok(Opened { object, body }),
            false => Err(told::garbled(body.status, "the answer is not of the range asked for")),
        }
    }
}

fn changed() -> EngineError {
    EngineError::new(Kind::SourceChanged, "the file was changed since it was seen")
}
