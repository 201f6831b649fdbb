//! What the environment and the profile say of the service.

use crate::error::Result;
use crate::remote::credentials::aws::profiles::{Profiles, asked};
use crate::remote::credentials::means::Means;
use crate::remote::credentials::value;

/// The region.
///
/// # Errors
/// `InvalidField` for what is no region's name; `SecretUnresolved` for files that cannot be read.
pub(super) fn region(means: &Means) -> Result<Option<String>> {
    if let Some(region) = &means.location.store.region {
        return value::name("region", region).map(Some).map_err(|error| error.field("region"));
    }
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        if let Some(region) = means.environment.text(name)? {
            return value::name(name, &region).map(Some);
        }
    }
    let found = of_profile(means, |profiles, name| {
        profiles.get(name).and_then(|profile| profile.get("region")).map(str::to_owned)
    })?;
    found.map(|region| value::name("region of the AWS profile", &region)).transpose()
}

/// The URL of a service: `S3` or `STS`. The location's own is that of S3.
///
/// # Errors
/// As [`region`].
pub(super) fn endpoint(means: &Means, service: &str) -> Result<Option<String>> {
    if let (Some(url), "S3") = (&means.location.store.endpoint, service) {
        return Ok(Some(url.clone()));
    }
    if means.environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return Ok(None);
    }
    for name in [format!("AWS_ENDPOINT_URL_{service}").as_str(), "AWS_ENDPOINT_URL"] {
        if let Some(url) = means.environment.text(name)? {
            return Ok(Some(url));
        }
    }
    let of_service = format!("{}.endpoint_url", service.to_ascii_lowercase());
    of_profile(means, |profiles, name| {
        let profile = profiles.get(name)?;
        let own = profiles.service(profile, &of_service);
        own.or_else(|| profile.get("endpoint_url")).map(str::to_owned)
    })
}

fn of_profile(
    means: &Means,
    read: impl FnOnce(&Profiles, &str) -> Option<String>,
) -> Result<Option<String>> {
    let name = asked(means)?;
    let profiles = Profiles::read(&means.environment)?;
    Ok(read(&profiles, name.as_deref().unwrap_or("default")))
}

#[cfg(test)]
mod tests {
    use crate::error::Kind;
    use crate::remote::credentials::trial::Trial;

    #[test]
    fn option_environment_and_profile_in_their_order() {
        let mut trial = Trial::new();
        let facts = |trial: &Trial| {
            let chain = trial.aws().unwrap();
            let shown = |fact: Option<String>| fact.unwrap_or_else(|| "none".to_owned());
            (shown(chain.region().unwrap()), shown(chain.endpoint().unwrap()))
        };
        let is = |trial: &Trial, region: &str, endpoint: &str| {
            assert_eq!(facts(trial), (region.to_owned(), endpoint.to_owned()));
        };
        is(&trial, "none", "none");
        let config = "[default]\nregion=p-1\nendpoint_url = http://profile\n\
            [profile s]\nservices = x\nendpoint_url=http://all\n\
            [services x]\ns3 =\n  endpoint_url = http://services";
        trial.home(".aws/config", config);
        is(&trial, "p-1", "http://profile");
        trial.set("AWS_PROFILE", "s");
        is(&trial, "none", "http://services");
        trial.set("AWS_DEFAULT_REGION", "d-1").set("AWS_ENDPOINT_URL", "http://any");
        is(&trial, "d-1", "http://any");
        trial.set("AWS_REGION", "e-1").set("AWS_ENDPOINT_URL_S3", "http://s3");
        is(&trial, "e-1", "http://s3");
        trial.set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        is(&trial, "e-1", "none");
        trial.store(|store| {
            store.region = Some("o-1".to_owned());
            store.endpoint = Some("http://option".to_owned());
        });
        is(&trial, "o-1", "http://option");
        trial.store(|store| store.region = Some("evil.example/".to_owned()));
        let error = trial.aws().unwrap().region().unwrap_err();
        assert_eq!(
            (error.kind(), error.parts().field.as_deref()),
            (Kind::InvalidField, Some("region"))
        );
    }
}
