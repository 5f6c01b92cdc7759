//! Where backups go.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{BucketName, KeyPrefix, PublicKey, Region};
use super::{BaseUrl, Sealed};

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The place.
    pub place: Place,
    /// Whose identity opens the backups. Never empty.
    pub encrypt_to: Vec<PublicKey>,
}

/// The kind and address of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A directory of this machine, absolute or relative to the file.
    Local {
        /// The directory.
        path: String,
    },
    /// A bucket of an object store that speaks S3.
    S3(S3Place),
}

/// A bucket, and how to get into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Place {
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys of all objects begin with.
    pub prefix: Option<KeyPrefix>,
    /// The region that requests are signed for.
    pub region: Region,
    /// The address of the store; without one, Amazon's in the region.
    pub endpoint: Option<BaseUrl>,
    /// The sealed id of the key that requests are signed with.
    pub access_key: Sealed,
    /// The sealed secret of that key.
    pub secret_key: Sealed,
    /// For how many days nobody can delete an object, if the bucket is to see to it.
    pub object_lock_days: Option<u32>,
}

impl S3Place {
    /// The address of the store: what the keys are sealed for.
    pub fn origin(&self) -> String {
        Self::origin_of(&self.region, self.endpoint.as_ref())
    }

    /// The address of a store that is given by a region and, unless it is Amazon's, an endpoint.
    pub fn origin_of(region: &Region, endpoint: Option<&BaseUrl>) -> String {
        endpoint.map_or_else(|| format!("https://s3.{region}.amazonaws.com"), BaseUrl::origin)
    }
}

impl Place {
    /// What tells this place from others, whatever the way in: other keys, or another lock, do not make another place.
    /// Two kinds of place never have the same identity.
    pub fn identity(&self) -> String {
        let identity = match self {
            Self::Local { path } => serde_json::json!({ "local": { "path": path } }),
            Self::S3(s3) => serde_json::json!({
                "s3": { "bucket": s3.bucket, "prefix": s3.prefix, "endpoint": s3.origin() },
            }),
        };
        identity.to_string()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { path } => f.write_str(path),
            Self::S3(S3Place { bucket, prefix: None, .. }) => write!(f, "s3://{bucket}"),
            Self::S3(S3Place { bucket, prefix: Some(prefix), .. }) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3() -> S3Place {
        S3Place {
            bucket: "corp-git-backups".parse().unwrap(),
            prefix: Some("bitbucket".parse().unwrap()),
            region: "eu-central-1".parse().unwrap(),
            endpoint: None,
            access_key: Sealed::new("one"),
            secret_key: Sealed::new("two"),
            object_lock_days: None,
        }
    }

    #[test]
    fn keys_and_locks_do_not_make_another_place() {
        let place = Place::S3(s3());
        let other = |edit: fn(&mut S3Place)| {
            let mut changed = s3();
            edit(&mut changed);
            Place::S3(changed).identity() != place.identity()
        };
        assert!(!other(|s3| s3.secret_key = Sealed::new("three")));
        assert!(!other(|s3| s3.object_lock_days = Some(30)));
        assert!(other(|s3| s3.bucket = "another".parse().unwrap()));
        assert!(other(|s3| s3.prefix = None));
        assert!(other(|s3| s3.endpoint = Some(BaseUrl::new("https://s3.example.com").unwrap())));
        assert_eq!(place.to_string(), "s3://corp-git-backups/bitbucket");
        assert_eq!(s3().origin(), "https://s3.eu-central-1.amazonaws.com");
        let local = Place::Local { path: "nas".into() };
        // States hold this text.
        assert_eq!(local.identity(), r#"{"local":{"path":"nas"}}"#);
        assert_eq!(serde_json::to_string(&local).unwrap(), local.identity());
    }
}
