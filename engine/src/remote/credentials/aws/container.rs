//! The credentials service of ECS and EKS containers.

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::aws::answer;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{file, value};
use crate::remote::sign::sigv4::Keys;
use secrecy::ExposeSecret as _;

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Where the service of ECS listens.
const ECS: &str = "http://169.254.170.2";

/// The credentials of the container, where it has a service for them.
///
/// # Errors
/// `InvalidField` for a service that is elsewhere; those of the service.
pub(super) fn find(
    means: &Means,
    _now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Keys>>> {
    let environment = &means.environment;
    let place = match (environment.text(RELATIVE)?, environment.text(FULL)?) {
        (Some(path), _) => {
            let slash = if path.starts_with('/') { "" } else { "/" };
            Place::metadata(&[ECS, slash, &path].concat(), RELATIVE)?
        }
        (None, Some(url)) => Place::metadata(&url, FULL)?,
        (None, None) => {
            looked.at(format!("environment {RELATIVE}, {FULL}"));
            return Ok(None);
        }
    };
    let token = match (environment.bytes(TOKEN_FILE), environment.secret(TOKEN)?) {
        (Some(path), _) => Some(value::secret(TOKEN_FILE, &file::needed(&path)?)?),
        (None, Some(token)) => Some(value::secret(TOKEN, token.expose_secret())?),
        (None, None) => None,
    };
    let mut request = place.request("GET");
    if let Some(token) = &token {
        request = request.header("authorization", token.expose_secret());
    }
    looked.at("the container's credentials service");
    let doing = "failed to get the container's credentials";
    let Some(body) = means.asker.metadata(&request, doing)? else { return Ok(None) };
    answer::keys(&body, "the container's credentials service").map(Some)
}
