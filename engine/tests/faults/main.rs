//! Ways in which services and networks make copies lose or mix data, each made to happen by a
//! scripted server against the real binary, or against the library where requests are counted and
//! time-outs are short. One file for each cause.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    reason = "tests make and judge what they use, with a part of the session's harness"
)]

mod bench;

mod azure_folders;
mod cancelled_wait;
mod corrupted_download;
mod corrupted_upload;
mod credentials;
mod empty_pages;
mod error_in_success;
mod failed_listing;
mod hedged;
mod hostile_listing;
mod ignored_conditions;
mod key_and_prefix;
mod late_attempt;
mod little_memory;
mod lost_reply;
mod no_validator;
mod ordered_digest;
mod orphaned_upload;
mod overtaken;
mod part_sizes;
mod proxies;
mod records;
mod redirect;
mod refusals;
mod removals;
mod replaced_object;
mod resets;
mod resumed_parts;
mod retry_after;
mod server_side;
mod signed_url;
mod slow_peer;
mod throttled;
mod trailers;
mod truncated;
mod wrong_answer;

#[path = "../session/session.rs"]
mod session;
