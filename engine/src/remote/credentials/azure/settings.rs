//! What the location and the environment say of the account.

use secrecy::ExposeSecret as _;

use crate::error::Result;
use crate::remote::credentials::azure::connection::Connection;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::value;

const CONNECTION: &str = "AZURE_STORAGE_CONNECTION_STRING";
const ACCOUNT: [&str; 2] = ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"];

/// The account that the environment's keys belong to, by its own variables.
///
/// # Errors
/// `InvalidField` for what is no account's name.
pub(super) fn own_account(means: &Means) -> Result<Option<String>> {
    for name in ACCOUNT {
        if let Some(account) = means.environment.text(name)? {
            return value::name(name, &account).map(Some);
        }
    }
    Ok(None)
}

/// The environment's connection string, where it is of the account that is asked for.
///
/// # Errors
/// `InvalidField` for one that is none.
pub(super) fn connection(means: &Means) -> Result<Option<Connection>> {
    let Some(text) = means.environment.secret(CONNECTION)? else { return Ok(None) };
    let connection = Connection::parse(text.expose_secret(), CONNECTION)?;
    let wanted = &means.location.store.account;
    let fits = wanted.is_none() || connection.account.is_none() || *wanted == connection.account;
    Ok(fits.then_some(connection))
}

/// The account: the location's, the connection string's, the environment's.
///
/// # Errors
/// `InvalidField` for what is no account's name.
pub(super) fn account(means: &Means) -> Result<Option<String>> {
    if let Some(account) = &means.location.store.account {
        let named = value::name("account", account);
        return named.map(Some).map_err(|error| error.field("account"));
    }
    if let Some(account) = connection(means)?.and_then(|connection| connection.account) {
        return value::name("AccountName of the connection string", &account).map(Some);
    }
    own_account(means)
}

/// The service's URL: the location's, the connection string's.
///
/// # Errors
/// `InvalidField` for a connection string that is none.
pub(super) fn endpoint(means: &Means) -> Result<Option<String>> {
    if let Some(url) = &means.location.store.endpoint {
        return Ok(Some(url.clone()));
    }
    Ok(connection(means)?.and_then(|connection| connection.endpoint))
}
