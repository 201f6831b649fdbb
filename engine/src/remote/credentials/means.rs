//! What a search for credentials may use.

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{EngineError, Kind, Result};
use crate::model::location::Location;
use crate::platform::secret;
use crate::remote::credentials::ask::Asker;
use crate::remote::credentials::environment::Environment;
use crate::remote::credentials::value;
use crate::remote::ties::Ties;

/// The location that asks, the environment, and the services.
pub(super) struct Means {
    pub(super) location: Location,
    pub(super) environment: Environment,
    pub(super) asker: Asker,
    pub(super) allow_secret_command: bool,
}

impl Means {
    pub(super) fn new(location: &Location, ties: &Ties, environment: Environment) -> Self {
        Self {
            location: location.clone(),
            environment,
            asker: Asker::new(ties, location.store.tls_ca.as_ref()),
            allow_secret_command: ties.allow_secret_command,
        }
    }

    /// Whether the location names a secret of this name.
    pub(super) fn gives(&self, name: &str) -> bool {
        self.location.auth.iter().any(|(known, _)| known == name)
    }

    /// A secret that the location names.
    ///
    /// # Errors
    /// `SecretUnresolved`.
    pub(super) fn given(&self, name: &str) -> Result<Option<SecretString>> {
        let Some((_, source)) = self.location.auth.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let field = format!("auth.{name}");
        let read = secret::read(source, self.allow_secret_command);
        let text = read.and_then(|bytes| value::of_bytes(&field, &bytes));
        text.map(Some).map_err(|error| error.field(field))
    }

    /// A secret that the location names, of more than one line.
    ///
    /// # Errors
    /// `SecretUnresolved`.
    pub(super) fn given_text(&self, name: &str) -> Result<Option<Zeroizing<String>>> {
        let Some((_, source)) = self.location.auth.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let field = format!("auth.{name}");
        let bytes = secret::read(source, self.allow_secret_command)
            .map_err(|error| error.field(field.as_str()))?;
        match std::str::from_utf8(bytes.expose_secret()) {
            Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
            Err(_) => {
                let why = format!("{field} is not UTF-8");
                Err(EngineError::new(Kind::SecretUnresolved, why).field(field))
            }
        }
    }

    /// Refuses a location that wants no signature and names what would sign.
    ///
    /// # Errors
    /// `InvalidField`.
    pub(super) fn contradicts(&self, names: &[&str]) -> Result<()> {
        let named = names.iter().find(|name| self.location.store.anonymous && self.gives(name));
        let Some(name) = named else { return Ok(()) };
        let why = format!("the location is anonymous and names auth.{name}");
        Err(EngineError::new(Kind::InvalidField, why).field("anonymous"))
    }
}
