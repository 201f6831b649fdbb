//! The metadata service of Google's machines, where the location allows it.

use crate::error::Result;
use crate::model::item::Timestamp;
use crate::remote::credentials::answer;
use crate::remote::credentials::ask::Place;
use crate::remote::credentials::cached::Lent;
use crate::remote::credentials::looked::Looked;
use crate::remote::credentials::means::Means;
use crate::remote::sign::bearer::Token;
use crate::remote::sign::reach::Reach;

const HOST: &str = "GCE_METADATA_HOST";
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

/// The token of the machine's service account.
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
        looked.at("not the metadata service, since imds is false");
        return Ok(None);
    }
    looked.at("the metadata service of Google Cloud");
    let host = means.environment.text(HOST)?;
    let host = host.as_deref().unwrap_or("169.254.169.254");
    let place = Place::metadata(&format!("http://{host}"), HOST)?;
    let request = place.at(PATH).request("GET").header("metadata-flavor", "Google");
    let doing = "failed to get a token of the metadata service of Google Cloud";
    let body = means.asker.metadata(&request, doing)?;
    body.map(|body| answer::token(&body, now, reach)).transpose()
}
