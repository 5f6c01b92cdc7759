//! The top-level `destination` node.

use std::collections::BTreeMap;

use super::super::document::{Node, Value};
use super::super::error::{Diagnostic, Report, Span};
use super::value::{base_url, name, public_key, sealed};
use super::{DraftDestination, Named};
use crate::model::{BaseUrl, BucketName, Destination, DestinationName, KeyPrefix, Place, PublicKey, Region, S3Place};

/// What requests are signed for where an endpoint is given without a region: stores other than Amazon's take it.
const USUAL_REGION: &str = "us-east-1";

/// What a destination in an object store has besides `s3` itself.
const OF_S3: [&str; 3] = ["access-key", "secret-key", "object-lock"];

/// A destination.
pub(super) fn decode(node: &Node, report: &mut Report) -> Option<Named<DestinationName, DraftDestination>> {
    let place = place(node, report);
    let keys: Vec<_> = node.children_named("encrypt-to").filter_map(|key| public_key(key, report)).collect();
    let mut seen: BTreeMap<&PublicKey, Span> = BTreeMap::new();
    for key in &keys {
        if let Some(first) = seen.get(&key.value) {
            report.add(
                Diagnostic::error("xopero::duplicate-key", "the key is given twice")
                    .at(key.span, "again here")
                    .at(*first, "already here"),
            );
        }
        seen.entry(&key.value).or_insert(key.span);
    }
    let name = name(node.text(), DestinationName::new, report)?;
    let value = place.filter(|_| !keys.is_empty()).map(|place| DraftDestination {
        destination: Destination { place, encrypt_to: keys.iter().map(|key| key.value.clone()).collect() },
        keys,
    });
    Some(Named { name, value, span: node.span })
}

fn place(node: &Node, report: &mut Report) -> Option<Place> {
    match (node.child("local"), node.child("s3")) {
        (Some(local), None) => {
            for stray in node.children().iter().filter(|child| OF_S3.contains(&child.name.as_str())) {
                report.add(
                    Diagnostic::error("xopero::local-destination", format!("a directory has no `{}`", stray.name))
                        .at(stray.name_span, "only for `s3`")
                        .at(local.name_span, "this destination is a directory"),
                );
            }
            path(local, report).map(|path| Place::Local { path })
        }
        (None, Some(s3)) => decode_s3(node, s3, report).map(Place::S3),
        (Some(local), Some(s3)) => {
            report.add(
                Diagnostic::error("xopero::two-places", "a destination is one place")
                    .at(s3.name_span, "a bucket")
                    .at(local.name_span, "and a directory")
                    .help("declare two destinations; a plan can name both"),
            );
            None
        }
        (None, None) => {
            // What is misspelt is reported already, and is probably what was meant.
            let known = |child: &Node| child.name == "encrypt-to" || OF_S3.contains(&child.name.as_str());
            if node.children().iter().all(known) {
                report.add(
                    Diagnostic::error("xopero::missing-node", "the destination has no place")
                        .at(node.name_span, "add `local`")
                        .help("write a directory, such as local \"/srv/backup/bitbucket\""),
                );
            }
            None
        }
    }
}

fn path(node: &Node, report: &mut Report) -> Option<String> {
    let (path, span) = node.text()?;
    if path.trim().is_empty() || path.chars().any(char::is_control) {
        report.add(
            Diagnostic::error("xopero::invalid-path", "the destination needs a directory")
                .at(span, "not a path")
                .help("write a directory, such as \"/srv/backup/bitbucket\""),
        );
        return None;
    }
    Some(path.to_owned())
}

/// Where a bucket is.
pub(in crate::config) struct Bucket {
    pub(in crate::config) name: BucketName,
    prefix: Option<KeyPrefix>,
    region: Region,
    endpoint: Option<BaseUrl>,
}

impl Bucket {
    /// The address of the store that it is in.
    pub(in crate::config) fn origin(&self) -> String {
        S3Place::origin_of(&self.region, self.endpoint.as_ref())
    }
}

fn decode_s3(node: &Node, s3: &Node, report: &mut Report) -> Option<S3Place> {
    let bucket = bucket(s3, report);
    let destination = node.text().map_or("NAME", |(name, _)| name);
    let mut key = |child: &str| {
        let found = node.child(child);
        if found.is_none() {
            report.add(
                Diagnostic::error("xopero::missing-node", format!("the bucket has no `{child}`"))
                    .at(s3.name_span, format!("add `{child}` to the destination"))
                    .help(format!("seal it: xopero secrets set destination/{destination}/{child}")),
            );
        }
        found.and_then(sealed)
    };
    let (access_key, secret_key) = (key("access-key"), key("secret-key"));
    let days = node.child("object-lock").and_then(|lock| lock.prop("days")).and_then(Value::integer);
    let bucket = bucket?;
    Some(S3Place {
        bucket: bucket.name,
        prefix: bucket.prefix,
        region: bucket.region,
        endpoint: bucket.endpoint,
        access_key: access_key?,
        secret_key: secret_key?,
        object_lock_days: days.and_then(|days| u32::try_from(days).ok()),
    })
}

/// The bucket that an `s3` node names.
pub(in crate::config) fn bucket(s3: &Node, report: &mut Report) -> Option<Bucket> {
    let text = |name: &str| s3.prop(name).and_then(Value::text);
    let bucket = name(s3.text(), BucketName::new, report);
    let prefix = name(text("prefix"), KeyPrefix::new, report);
    let endpoint = base_url(s3.prop("endpoint"), report);
    let region = match (s3.prop("region"), s3.prop("endpoint")) {
        (Some(_), _) => name(text("region"), Region::new, report).map(|region| region.value),
        (None, Some(_)) => Region::new(USUAL_REGION).ok(),
        (None, None) => {
            report.add(
                Diagnostic::error("xopero::missing-property", "`s3` needs a region, an endpoint, or both")
                    .at(s3.name_span, "add region=… or endpoint=…")
                    .help("without an endpoint the bucket is Amazon's in that region"),
            );
            None
        }
    };
    // What is there and broken is reported; the destination must not be taken for another one without it.
    let whole = |given: Option<&Value>, understood: bool| given.is_none() || understood;
    (whole(s3.prop("prefix"), prefix.is_some()) && whole(s3.prop("endpoint"), endpoint.is_some())).then_some(())?;
    Some(Bucket { name: bucket?.value, prefix: prefix.map(|prefix| prefix.value), region: region?, endpoint })
}
