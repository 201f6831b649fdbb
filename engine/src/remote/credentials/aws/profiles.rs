//! The profiles of the shared files.

use crate::error::{EngineError, Kind, Result};
use crate::remote::credentials::aws::ini::{self, Section};
use crate::remote::credentials::environment::Environment;
use crate::remote::credentials::file;
use crate::remote::credentials::means::Means;

/// What both files say.
pub(super) struct Profiles {
    credentials: Vec<Section>,
    config: Vec<Section>,
    /// The files, by name.
    pub(super) files: String,
}

/// One profile: the file of credentials goes before that of settings.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    pub(super) name: &'a str,
    credentials: Option<&'a Section>,
    config: Option<&'a Section>,
}

impl Profiles {
    /// Reads the files; one that is absent holds nothing.
    ///
    /// # Errors
    /// `SecretUnresolved` for one that cannot be read.
    pub(super) fn read(environment: &Environment) -> Result<Self> {
        let path = |variable: &str, rest: &str| {
            environment.bytes(variable).or_else(|| environment.at_home(rest))
        };
        let credentials = path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        let config = path("AWS_CONFIG_FILE", ".aws/config");
        let sections = |path: &Option<Vec<u8>>| -> Result<Vec<Section>> {
            let text = path.as_ref().map(|path| file::text(path)).transpose()?.flatten();
            Ok(text.map(|text| ini::sections(&text)).unwrap_or_default())
        };
        let named = [&credentials, &config].into_iter().flatten().map(|path| file::shown(path));
        let files = named.collect::<Vec<_>>().join(", ");
        Ok(Self { credentials: sections(&credentials)?, config: sections(&config)?, files })
    }

    /// A profile of this name.
    pub(super) fn get<'a>(&'a self, name: &'a str) -> Option<Profile<'a>> {
        let credentials = self.credentials.iter().rfind(|section| section.name() == name);
        let is_named = |section: &&Section| {
            let bare = section.name().strip_prefix("profile ");
            bare == Some(name) || (name == "default" && section.name() == name)
        };
        let config = self.config.iter().rfind(is_named);
        (credentials.is_some() || config.is_some()).then_some(Profile { name, credentials, config })
    }

    /// A value of the section of services that a profile names.
    pub(super) fn service(&self, profile: Profile<'_>, name: &str) -> Option<&str> {
        let services = format!("services {}", profile.get("services")?);
        self.config.iter().rfind(|section| section.name() == services)?.get(name)
    }
}

impl<'a> Profile<'a> {
    /// A value.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let in_credentials = self.credentials.and_then(|section| section.get(name));
        in_credentials.or_else(|| self.config.and_then(|section| section.get(name)))
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// `CredentialsMissing` naming it.
    pub(super) fn needed(&self, name: &str) -> Result<&'a str> {
        self.get(name).ok_or_else(|| {
            let why = format!("the AWS profile {} has no {name}", self.name);
            EngineError::new(Kind::CredentialsMissing, why)
        })
    }
}

/// The profile that is asked for by name, of the location or the environment.
///
/// # Errors
/// `InvalidField` for a variable that is not UTF-8.
pub(super) fn asked(means: &Means) -> Result<Option<String>> {
    match &means.location.store.profile {
        Some(name) => Ok(Some(name.clone())),
        None => means.environment.text("AWS_PROFILE"),
    }
}
