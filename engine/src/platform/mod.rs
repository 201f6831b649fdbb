//! The operating system, behind names of ours. The only rooms that may name a path of the
//! operator (`operator`), an entry of user data (`dir`, `hold`, `xattr`), the process (`process`),
//! the machine (`host`) or a secret's place (`secret`).

pub mod clock;
pub mod dir;
pub mod filesystem;
pub mod hold;
pub mod host;
pub mod names;
pub mod operator;
pub mod process;
pub mod secret;
pub mod xattr;
