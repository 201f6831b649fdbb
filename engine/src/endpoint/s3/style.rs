//! How a bucket is addressed: in the path, in the host's name, by the acceleration host.

use crate::error::{EngineError, Kind, Result};
use crate::model::store::StoreOptions;
use crate::remote::encode;
use crate::remote::origin::Origin;

/// Where a bucket is.
#[derive(Clone, Debug)]
pub struct Style {
    bucket: String,
    /// The endpoint given and the path that all of its requests begin with; `None` is AWS itself.
    endpoint: Option<(Origin, String)>,
    in_path: bool,
    accelerate: bool,
    /// The part of AWS that this is, if it is AWS.
    aws: Option<Partition>,
}

/// A part of AWS: names of buckets are given once in each, and no copy goes from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Partition {
    Standard,
    China,
    Government,
}

impl Partition {
    fn of(region: &str) -> Self {
        match region {
            _ if region.starts_with("cn-") => Self::China,
            _ if region.starts_with("us-gov-") => Self::Government,
            _ => Self::Standard,
        }
    }

    /// The part that an endpoint is of, if it is one of S3's own.
    fn of_endpoint(origin: &Origin, base: &str) -> Option<Self> {
        if !origin.tls || origin.port != 443 || !base.is_empty() {
            return None;
        }
        if let Some(labels) = origin.host.strip_suffix(".amazonaws.com.cn") {
            let region = region_of(labels)?;
            return (region.is_empty() || region.starts_with("cn-")).then_some(Self::China);
        }
        let region = region_of(origin.host.strip_suffix(".amazonaws.com")?)?;
        Some(Self::of(region)).filter(|part| *part != Self::China)
    }

    fn service(self) -> &'static str {
        match self {
            Self::Standard => "https://s3.amazonaws.com",
            Self::China => "https://s3.amazonaws.com.cn",
            Self::Government => "https://s3.us-gov.amazonaws.com",
        }
    }
}

/// The region of a host of S3 by its labels before the domain ("Amazon S3 endpoints and quotas");
/// empty where the host is that of all. `None` for hosts of other services, of machines, and for
/// those that have a bucket or an access point in their name.
fn region_of(labels: &str) -> Option<&str> {
    if let Some((front, region)) = labels.strip_suffix(".vpce").and_then(|l| l.rsplit_once('.')) {
        let own = front.strip_suffix(".s3")?;
        let own = own.strip_prefix("bucket.").unwrap_or(own);
        return (own.starts_with("vpce-") && !own.contains('.') && is_region(region))
            .then_some(region);
    }
    let (service, rest) = labels.split_once('.').unwrap_or((labels, ""));
    if ["s3", "s3-fips", "s3-accelerate", "s3-external-1"].contains(&service) {
        let region = if rest == "dualstack" { "" } else { rest };
        let region = region.strip_prefix("dualstack.").unwrap_or(region);
        return (region.is_empty() || is_region(region)).then_some(region);
    }
    let region = service.strip_prefix("s3-")?;
    let region = region.strip_prefix("fips-").unwrap_or(region);
    (rest.is_empty() && is_region(region)).then_some(region)
}

/// Whether this is written as regions are, such as `eu-west-1`.
fn is_region(text: &str) -> bool {
    let labels: Vec<&str> = text.split('-').collect();
    let is_word = |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase());
    match labels.as_slice() {
        [land, middle @ .., number] => {
            land.len() == 2
                && is_word(land)
                && !middle.is_empty()
                && middle.iter().all(is_word)
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

impl Style {
    /// The place of a bucket, at an endpoint or at AWS, where it is asked for in this region.
    ///
    /// # Errors
    /// `InvalidField`, `Unsupported`: a name that no bucket bears, options that exclude each other.
    pub fn new(
        bucket: &str,
        endpoint: Option<&str>,
        region: &str,
        options: &StoreOptions,
    ) -> Result<Self> {
        check_name(bucket)?;
        let endpoint = match endpoint {
            None => None,
            Some(url) => {
                let (origin, base) = Origin::parse(url).map_err(|e| e.field("endpoint"))?;
                if base.contains(['?', '#']) {
                    return Err(invalid("an endpoint has no query").field("endpoint"));
                }
                Some((origin, base.trim_end_matches('/').to_owned()))
            }
        };
        // A certificate for *.host does not hold for a.b.host.
        let dotted = bucket.contains('.') && endpoint.as_ref().is_none_or(|(origin, _)| origin.tls);
        let by_itself = endpoint.is_some() || dotted || !is_host_name(bucket);
        let in_path = options.path_style.unwrap_or(by_itself && !options.accelerate);
        let aws = match &endpoint {
            None => Some(Partition::of(region)),
            Some((origin, base)) => Partition::of_endpoint(origin, base),
        };
        let (bucket, accelerate) = (bucket.to_owned(), options.accelerate);
        let style = Self { bucket, endpoint, in_path, accelerate, aws };
        style.check()
    }

    fn check(self) -> Result<Self> {
        if self.accelerate && (self.endpoint.is_some() || self.in_path) {
            let why = "the acceleration host is one of AWS, and has the bucket in its name";
            return Err(invalid(why).field("accelerate"));
        }
        if self.accelerate && self.bucket.contains('.') {
            return Err(invalid("a bucket with dots cannot be accelerated").field("accelerate"));
        }
        if !self.in_path && !is_host_name(&self.bucket) {
            let why = "the bucket's name cannot be part of a host's name";
            return Err(invalid(why).field("path_style"));
        }
        Ok(self)
    }

    /// Whether this is AWS, whose answers need no probing.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        self.aws.is_some()
    }

    /// Whether this is Cloudflare R2, which takes parts of one length alone.
    #[must_use]
    pub fn wants_equal_parts(&self) -> bool {
        let r2 = |host: &str| host.ends_with(".r2.cloudflarestorage.com");
        self.endpoint.as_ref().is_some_and(|(origin, _)| r2(&origin.host))
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Where the bucket is asked for when it lies in this region.
    #[must_use]
    pub fn origin(&self, region: &str) -> Origin {
        let service = match &self.endpoint {
            Some((origin, _)) => origin.clone(),
            None => {
                let end = if region.starts_with("cn-") { ".cn" } else { "" };
                let host = match self.accelerate {
                    true => format!("s3-accelerate.amazonaws.com{end}"),
                    false => format!("s3.{region}.amazonaws.com{end}"),
                };
                Origin { tls: true, host: host.into(), port: 443 }
            }
        };
        if self.in_path {
            return service;
        }
        service.with_host(&format!("{}.{}", self.bucket, service.host))
    }

    /// The path of a key, percent-encoded; of the bucket itself for an empty key.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        let base = self.endpoint.as_ref().map_or("", |(_, base)| base);
        let key = encode::path(key.as_bytes());
        match (self.in_path, key.is_empty()) {
            (true, true) => format!("{base}/{}", self.bucket),
            (true, false) => format!("{base}/{}/{key}", self.bucket),
            (false, _) => format!("{base}/{key}"),
        }
    }

    /// What tells the service from every other: copies are made within it. A bucket of AWS is one,
    /// through whichever of the hosts of its partition it is reached.
    #[must_use]
    pub fn service(&self) -> String {
        match (&self.endpoint, self.aws) {
            (Some((origin, base)), None) => format!("{origin}{base}"),
            (_, aws) => aws.unwrap_or(Partition::Standard).service().to_owned(),
        }
    }
}

fn invalid(why: &str) -> EngineError {
    EngineError::new(Kind::InvalidField, why.to_owned())
}

/// Whether a bucket of this name may be part of a host's ("Bucket naming rules").
fn is_host_name(bucket: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
    let is_address = bucket.parse::<std::net::Ipv4Addr>().is_ok();
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(fits)
        && bucket.split('.').all(label)
        && !is_address
}

/// Names that some store has given out: those of AWS's first years and of stores like it are wider
/// than today's rules.
fn check_name(bucket: &str) -> Result<()> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if bucket.ends_with("--x-s3") {
        let why = "directory buckets have sessions and an order of their own";
        return Err(EngineError::new(Kind::Unsupported, why));
    }
    if bucket.is_empty() {
        return Err(invalid("the location names no bucket").hint("s3://bucket/key"));
    }
    let first = bucket.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if bucket.len() > 255 || !first || !bucket.bytes().all(fits) {
        return Err(invalid("the bucket's name is none that a bucket can have")
            .hint("letters, digits, dots, hyphens; access points are not known here"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(bucket: &str, change: impl Fn(&mut StoreOptions)) -> Result<Style> {
        let mut options = StoreOptions::default();
        change(&mut options);
        let region = options.region.as_deref().unwrap_or_default();
        Style::new(bucket, options.endpoint.as_deref(), region, &options)
    }

    fn shown(style: &Style, region: &str) -> String {
        format!("{}{}", style.origin(region), style.path("a b/ü+"))
    }

    #[test]
    fn buckets_stand_in_the_host_or_in_the_path() {
        let key = "/a%20b/%C3%BC%2B";
        let plain = style("bucket", |_| {}).unwrap();
        assert_eq!(
            shown(&plain, "eu-west-1"),
            format!("https://bucket.s3.eu-west-1.amazonaws.com{key}")
        );
        assert_eq!(plain.origin("cn-north-1").authority(), "bucket.s3.cn-north-1.amazonaws.com.cn");
        let dotted = style("a.b.c", |_| {}).unwrap();
        assert_eq!(
            shown(&dotted, "eu-west-1"),
            format!("https://s3.eu-west-1.amazonaws.com/a.b.c{key}")
        );
        let fast = style("bucket", |o| o.accelerate = true).unwrap();
        assert_eq!(shown(&fast, "x"), format!("https://bucket.s3-accelerate.amazonaws.com{key}"));
        let at = |url: &'static str| move |o: &mut StoreOptions| o.endpoint = Some(url.to_owned());
        let own = style("Old_Bucket", at("http://127.0.0.1:9000/")).unwrap();
        assert_eq!(shown(&own, "x"), format!("http://127.0.0.1:9000/Old_Bucket{key}"));
        assert_eq!(own.path(""), "/Old_Bucket");
        let based = style("bucket", at("https://h/storage/v1/s3")).unwrap();
        assert_eq!(based.path("k"), "/storage/v1/s3/bucket/k");
        assert!(plain.is_aws() && !own.is_aws());
        assert!(style("b-1", at("https://s3.eu-west-1.amazonaws.com")).unwrap().is_aws());
        assert!(!style("b-1", at("https://s3.amazonaws.com.evil.org")).unwrap().is_aws());
        for host in
            ["s3.eu-west-1", "s3", "s3.dualstack.eu-west-1", "bucket.vpce-1.s3.eu-west-1.vpce"]
        {
            let url = format!("https://{host}.amazonaws.com");
            let there = style("b-1", |o| o.endpoint = Some(url.clone())).unwrap();
            assert_eq!(there.service(), plain.service(), "{host}");
        }
        assert_ne!(own.service(), plain.service());
        let hosted = style("bucket", |o| {
            o.endpoint = Some("http://s3.localhost:9000".to_owned());
            o.path_style = Some(false);
        });
        assert_eq!(shown(&hosted.unwrap(), "x"), format!("http://bucket.s3.localhost:9000{key}"));
    }

    #[test]
    fn hosts_are_aws_by_their_own_names_and_one_in_each_partition() {
        let at = |url: &str| {
            let style = style("b-1", |o| o.endpoint = Some(url.to_owned())).unwrap();
            (style.is_aws(), style.service())
        };
        let of =
            |region: &str| style("b-1", |o| o.region = Some(region.to_owned())).unwrap().service();
        for (host, region) in [
            ("s3.amazonaws.com", "us-east-1"),
            ("s3-eu-west-1.amazonaws.com", "eu-west-1"),
            ("s3-fips.dualstack.us-east-1.amazonaws.com", "us-east-1"),
            ("s3-accelerate.dualstack.amazonaws.com", "us-east-1"),
            ("s3-external-1.amazonaws.com", "us-east-1"),
            ("s3.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
            ("vpce-1-a.s3.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
            ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("s3-us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("s3-fips.us-gov-east-1.amazonaws.com", "us-gov-west-1"),
        ] {
            assert_eq!(at(&format!("https://{host}")), (true, of(region)), "{host}");
        }
        let parts = [of("eu-west-1"), of("cn-north-1"), of("us-gov-west-1")];
        assert!(parts[0] != parts[1] && parts[1] != parts[2] && parts[0] != parts[2]);
        for url in [
            "https://ec2-1-2-3-4.compute-1.amazonaws.com",
            "https://ec2-1-2-3-4.cn-north-1.compute.amazonaws.com.cn",
            "https://s3-1.eu-west-1.elb.amazonaws.com",
            "https://s3.eu-west-1.elb.amazonaws.com",
            "https://b.vpce-1.execute-api.eu-west-1.vpce.amazonaws.com",
            "https://s3-website-eu-west-1.amazonaws.com",
            "https://a-1.s3-accesspoint.eu-west-1.amazonaws.com",
            "https://other.s3.eu-west-1.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com",
            "https://s3.amazonaws.com:9000",
            "https://s3.amazonaws.com/base",
            "http://s3.amazonaws.com",
        ] {
            assert_eq!(at(url), (false, url.to_owned()), "{url}");
        }
    }

    #[test]
    fn names_and_options_that_cannot_be_are_refused() {
        for name in ["", "a/b", "a b", "..", "-a", "é", "arn:aws:s3", "zone--x-s3"] {
            assert!(style(name, |_| {}).is_err(), "{name}");
        }
        assert!(style("Old_Bucket", |o| o.path_style = Some(false)).is_err());
        assert!(style("a.b", |o| o.accelerate = true).is_err());
        assert!(style("bucket", |o| (o.accelerate, o.path_style) = (true, Some(true))).is_err());
        assert!(style("bucket", |o| o.endpoint = Some("http://h/?q".to_owned())).is_err());
        for name in ["1.2.3.4", "ab", "a..b", "a.-b"] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}
