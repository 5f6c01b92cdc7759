//! One repository at a server: discover, list, fetch. Every call is one request with one credential.
//!
//! The intended order, which costs one request for an unchanged repository:
//!
//! 1. First contact with a server: [`Remote::discover`]; its [`ServerFacts`] are remembered for the whole server.
//! 2. [`Remote::list`] with the remembered facts and the repository's object format; for a repository that was never
//!    seen, with SHA-1.
//! 3. [`GitError::NotV2`] means that the server speaks another protocol (again), or that the repository has another
//!    object format: `discover` tells both; list again with what it says. If that fails in the same way, give up.
//! 4. [`Remote::fetch`] if there is something to want.
//!
//! While the remembered facts say v0 or v1, `discover` once per run notices an upgraded server.

use bytes::Bytes;
use url::Url;

use super::capabilities::{Advertisement, AdvertisementReader, Protocol, ServerFacts};
use super::error::{GitError, ProtocolError};
use super::fetch::{Demux, Depth, FetchRequest, compressed};
use super::ls_refs::{ListingReader, request_below};
use crate::http::{Answer, Authorization, HttpClient, Method, Request, RequestPlace};
use crate::model::{BaseUrl, ObjectFormat, ObjectId, ProjectKey, RefName, References, RepoSlug};

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";
const REQUEST: &str = "application/x-git-upload-pack-request";
const RESULT: &str = "application/x-git-upload-pack-result";

/// A repository's address at its server.
#[derive(Debug, Clone)]
pub struct Remote {
    client: HttpClient,
    url: Url,
}

/// The references of a repository, and what its objects are named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The references.
    pub references: References,
    /// The object format.
    pub object_format: ObjectFormat,
}

impl Remote {
    /// The repository at `scm/<project>/<slug>.git` below the server's base.
    pub fn new(client: HttpClient, project: &ProjectKey, slug: &RepoSlug) -> Self {
        let url = client.base().join(["scm", &project.as_str().to_lowercase(), &format!("{slug}.git")]);
        Self { client, url }
    }

    /// The repository whose own address is the client's base.
    pub fn at_base(client: HttpClient) -> Self {
        let url = client.base().join([]);
        Self { client, url }
    }

    /// The repository that a clone link leads to. Of the link only what follows `scm` is used, below the configured
    /// base: the host in it is the server's setting and may not be the one to use, and it may hold a user name.
    pub fn from_clone_link(client: HttpClient, link: &str) -> Result<Self, GitError> {
        let url = below_scm(client.base(), link).ok_or_else(|| GitError::CloneLink { link: without_user(link) })?;
        Ok(Self { client, url })
    }

    /// The address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Asks what the server speaks. In v0 and v1 the answer holds the references.
    pub async fn discover(&self, authorization: &Authorization) -> Result<Advertisement, GitError> {
        self.info_refs(&[("git-protocol", "version=2")], authorization).await
    }

    /// Lists the references.
    pub async fn list(
        &self,
        authorization: &Authorization,
        facts: &ServerFacts,
        format: ObjectFormat,
    ) -> Result<Listing, GitError> {
        self.list_below(authorization, facts, format, &[]).await
    }

    /// Lists the references that begin with one of the prefixes, and maybe others.
    pub async fn list_below(
        &self,
        authorization: &Authorization,
        facts: &ServerFacts,
        format: ObjectFormat,
        prefixes: &[&RefName],
    ) -> Result<Listing, GitError> {
        match facts.protocol {
            Protocol::V0 | Protocol::V1 => {
                let advertisement = self.info_refs(&[], authorization).await?;
                // A server that speaks v2 unasked speaks another protocol than is remembered: that is for discovery.
                let Some(references) = advertisement.references else {
                    return Err(GitError::NotV2 { place: self.place(), cause: None });
                };
                Ok(Listing { references, object_format: advertisement.object_format })
            }
            Protocol::V2 => {
                let mut answer =
                    self.upload_pack(request_below(facts, format, prefixes), facts.protocol, authorization).await?;
                let references = Self::read_listing(&mut answer, format).await?;
                Ok(Listing { references, object_format: format })
            }
        }
    }

    /// Asks for a pack and waits until its answer begins.
    pub async fn fetch(
        &self,
        authorization: &Authorization,
        request: &FetchRequest<'_>,
    ) -> Result<PackStream, GitError> {
        self.fetch_to(authorization, request, Depth::All).await
    }

    /// Asks for a pack with a part of the history, if the server can cut it off.
    pub async fn fetch_to(
        &self,
        authorization: &Authorization,
        request: &FetchRequest<'_>,
        depth: Depth,
    ) -> Result<PackStream, GitError> {
        let protocol = request.facts.protocol;
        let body = request.body(depth).map_err(|cause| {
            let place = RequestPlace { address: self.url.to_string(), request_id: None };
            GitError::at(place, cause)
        })?;
        let answer = self.upload_pack(body, protocol, authorization).await?;
        Ok(PackStream { answer, demux: Demux::new(protocol, depth) })
    }

    async fn info_refs(
        &self,
        headers: &[(&'static str, &str)],
        authorization: &Authorization,
    ) -> Result<Advertisement, GitError> {
        let mut url = self.below(&["info", "refs"]);
        url.set_query(Some("service=git-upload-pack"));
        let request = Request { method: Method::Get, url, headers, body: Bytes::new() };
        let mut answer = self.client.send(request, authorization).await?;
        answer.require_content_type(ADVERTISEMENT)?;
        let mut reader = AdvertisementReader::default();
        while let Some(chunk) = answer.chunk().await? {
            reader.push(chunk).map_err(|cause| GitError::at(answer.place().clone(), cause))?;
        }
        reader.finish().map_err(|cause| GitError::at(answer.place().clone(), cause))
    }

    async fn read_listing(answer: &mut Answer, format: ObjectFormat) -> Result<References, GitError> {
        let mut reader = ListingReader::new(format);
        let mut received = false;
        let place = answer.place().clone();
        let refused = |cause| {
            let place = place.clone();
            if is_not_v2(&cause) { GitError::NotV2 { place, cause: Some(cause) } } else { GitError::at(place, cause) }
        };
        while let Some(chunk) = answer.chunk().await? {
            received |= !chunk.is_empty();
            reader.push(chunk).map_err(refused)?;
        }
        if !received {
            return Err(GitError::NotV2 { place, cause: None });
        }
        reader.finish().map_err(|cause| GitError::at(place.clone(), cause))
    }

    async fn upload_pack(
        &self,
        body: Vec<u8>,
        protocol: Protocol,
        authorization: &Authorization,
    ) -> Result<Answer, GitError> {
        let (body, gzip) = compressed(body);
        let mut headers = vec![("content-type", REQUEST), ("accept", RESULT)];
        if protocol == Protocol::V2 {
            headers.push(("git-protocol", "version=2"));
        }
        if gzip {
            headers.push(("content-encoding", "gzip"));
        }
        let url = self.below(&["git-upload-pack"]);
        let request = Request { method: Method::Post, url, headers: &headers, body };
        let answer = self.client.send(request, authorization).await?;
        answer.require_content_type(RESULT)?;
        Ok(answer)
    }

    fn place(&self) -> RequestPlace {
        RequestPlace { address: self.url.to_string(), request_id: None }
    }

    fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("http URLs have segments").extend(segments);
        url
    }
}

/// A pack on its way.
#[derive(Debug)]
pub struct PackStream {
    answer: Answer,
    demux: Demux,
}

impl PackStream {
    /// The next bytes of the pack. `None` only after the server ended the pack as the protocol asks.
    pub async fn next(&mut self) -> Result<Option<Bytes>, GitError> {
        loop {
            let found = self.demux.next_bytes().map_err(|cause| GitError::at(self.answer.place().clone(), cause))?;
            if found.is_some() {
                return Ok(found);
            }
            let Some(chunk) = self.answer.chunk().await? else {
                self.demux.finish().map_err(|cause| GitError::at(self.answer.place().clone(), cause))?;
                return Ok(None);
            };
            self.demux.push(chunk);
        }
    }

    /// The commits whose parents were left out, as was asked for. Known once the pack has begun.
    pub fn cuts(&self) -> &[ObjectId] {
        self.demux.cuts()
    }

    /// The request that it is the answer to.
    pub fn place(&self) -> &RequestPlace {
        self.answer.place()
    }
}

/// Whether an answer to `ls-refs` is that of a server that did not understand the question as v2, or whose
/// repository has another object format.
fn is_not_v2(cause: &ProtocolError) -> bool {
    match cause {
        ProtocolError::PacketLength(_) | ProtocolError::Malformed { .. } | ProtocolError::ForeignFormat { .. } => true,
        ProtocolError::Remote { message } => message.contains("protocol error") || message.contains("object format"),
        ProtocolError::Truncated { .. }
        | ProtocolError::Shallow
        | ProtocolError::Unexpected { .. }
        | ProtocolError::RefName(_)
        | ProtocolError::DuplicateRef(_)
        | ProtocolError::TooManyReferences { .. }
        | ProtocolError::ListingTooLarge { .. }
        | ProtocolError::UnknownFormat(_)
        | ProtocolError::MissingCapability(_) => false,
    }
}

fn below_scm(base: &BaseUrl, link: &str) -> Option<Url> {
    let link = Url::parse(link).ok().filter(|link| matches!(link.scheme(), "http" | "https"))?;
    let segments: Vec<&str> = link.path_segments()?.collect();
    let [.., "scm", project, repository] = segments[..] else { return None };
    let slug = RepoSlug::new(repository.strip_suffix(".git")?).ok()?;
    let project = ProjectKey::new(project).ok()?;
    Some(base.join(["scm", project.as_str(), &format!("{slug}.git")]))
}

fn without_user(link: &str) -> String {
    match Url::parse(link) {
        Ok(url) => (url.origin().ascii_serialization() + url.path()).chars().take(300).collect(),
        Err(_) => "not an address".into(),
    }
}

#[cfg(test)]
mod tests;
