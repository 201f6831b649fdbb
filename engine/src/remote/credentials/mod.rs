//! Finds what a request is signed with.
