//! Managed identity, where the location allows it: the service of App Service and the like, else
//! that of the machine.

use secrecy::ExposeSecret as _;

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::credentials::{answer, value};
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

const ENDPOINT: &str = "IDENTITY_ENDPOINT";
const HEADER: &str = "IDENTITY_HEADER";
const MACHINE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const RESOURCE: &str = "https://storage.azure.com/";

/// The token of the managed identity.
///
/// # Errors
/// `InvalidField` for a service that is elsewhere; those of the service.
pub(super) fn find(
    means: &Means,
    reach: Reach,
    now: Timestamp,
    looked: &mut Looked,
) -> Result<Option<Lent<Token>>> {
    if !means.location.store.imds {
        looked.at("not managed identity, since imds is false");
        return Ok(None);
    }
    looked.at("the managed identity service");
    let environment = &means.environment;
    let own = environment.text(ENDPOINT)?.zip(environment.secret(HEADER)?);
    let mut request = match &own {
        Some((url, header)) => {
            let header = value::secret(HEADER, header.expose_secret())?;
            let request = Place::metadata(url, ENDPOINT)?.request("GET");
            let request = request.header("x-identity-header", header.expose_secret());
            request.query("api-version", "2019-08-01")
        }
        None => {
            let url = environment.text(MACHINE)?;
            let url = url.as_deref().unwrap_or("http://169.254.169.254");
            let place = Place::metadata(url, MACHINE)?.at("/metadata/identity/oauth2/token");
            place.request("GET").header("metadata", "true").query("api-version", "2018-02-01")
        }
    };
    request = request.query("resource", RESOURCE);
    if let Some(client) = environment.text("AZURE_CLIENT_ID")? {
        request = request.query("client_id", value::name("AZURE_CLIENT_ID", &client)?);
    }
    let doing = "failed to get a token of the managed identity";
    let body = means.asker.metadata(&request, doing)?;
    body.map(|body| answer::token(&body, now, reach)).transpose()
}
