//! `schema`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use clap::Args;
use clap::builder::PossibleValuesParser;
use migration_protocol::fault::{Code, Fault};

use crate::cli::context::Context;
use crate::cli::schema::DOCUMENTS;
use crate::platform::operator;

/// The flags of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArgs {
    /// Which document
    #[arg(long, default_value = "commands",
          value_parser = PossibleValuesParser::new(DOCUMENTS.each_ref().map(|document| document.name)))]
    kind: String,
    /// Write every document into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    write: Option<OsString>,
}

impl SchemaArgs {
    /// Prints or writes. Returns the exit code.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn run(&self, context: &Context) -> Result<u8, Fault> {
        if let Some(directory) = &self.write {
            return self.write_all(directory.as_bytes()).map(|()| 0);
        }
        let chosen = DOCUMENTS.iter().filter(|document| document.name == self.kind);
        chosen.for_each(|document| context.screen.text(&document.text()));
        Ok(context.screen.end_listing())
    }

    fn write_all(&self, directory: &[u8]) -> Result<(), Fault> {
        let failed = |error: std::io::Error| {
            Fault::new(Code::DstWrite, "failed to write the documents")
                .at_path(directory)
                .caused_by("write", error.raw_os_error())
        };
        operator::make_dirs(directory, 0o777).map_err(failed)?;
        for document in &DOCUMENTS {
            let path = operator::path(directory).join(format!("{}.json", document.name));
            operator::write_file(&path, document.text().as_bytes()).map_err(failed)?;
        }
        Ok(())
    }
}
