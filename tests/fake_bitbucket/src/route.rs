//! What an address means.

use crate::log::{Command, Kind};

/// A resource of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Status,
    ApplicationProperties,
    RateLimitSettings,
    OwnRateLimit { slug: String },
    Users,
    User { slug: String },
    Projects,
    Project { key: String },
    ProjectRepositories { key: String },
    Repository { key: String, slug: String },
    DefaultBranch { key: String, slug: String },
    PullRequests { key: String, slug: String },
    Repositories,
    AccessTokens { of: TokensOf },
    AccessToken { of: TokensOf, id: String },
    UnknownRest,
    Git { key: String, slug: String, call: GitCall },
    Unknown,
}

/// Whose access tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokensOf {
    User {
        slug: String,
    },
    /// A project's, or with a slug a repository's.
    Project {
        key: String,
        slug: Option<String>,
    },
}

/// What a git client calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GitCall {
    InfoRefs,
    UploadPack,
    ReceivePack,
}

impl GitCall {
    /// The end of the address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::InfoRefs => "info/refs",
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

impl Route {
    /// Understands a path; `context` is the context path, empty or with a slash in front.
    pub(crate) fn of(context: &str, path: &str) -> Self {
        let Some(path) = path.strip_prefix(context) else {
            return Self::Unknown;
        };
        let parts: Vec<String> = path.split('/').skip(1).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["status"] => Self::Status,
            ["rest", "api", "latest" | "1.0", rest @ ..] => Self::rest(rest),
            ["rest", "access-tokens", "latest" | "1.0", rest @ ..] => Self::access_tokens(rest),
            ["rest", ..] => Self::UnknownRest,
            ["scm", key, slug, rest @ ..] => Self::git(key, slug, rest),
            _ => Self::Unknown,
        }
    }

    /// The kind for the log. The command of an upload-pack request is in its body and comes later.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::ApplicationProperties
            | Self::RateLimitSettings
            | Self::OwnRateLimit { .. }
            | Self::Users
            | Self::User { .. }
            | Self::Projects
            | Self::Project { .. }
            | Self::ProjectRepositories { .. }
            | Self::Repository { .. }
            | Self::DefaultBranch { .. }
            | Self::PullRequests { .. }
            | Self::Repositories
            | Self::AccessTokens { .. }
            | Self::AccessToken { .. }
            | Self::UnknownRest => Kind::Rest,
            Self::Git { call, .. } => match call {
                GitCall::InfoRefs => Kind::GitInfoRefs,
                GitCall::UploadPack => Kind::GitUploadPack { command: Command::Unknown },
                GitCall::ReceivePack => Kind::GitReceivePack,
            },
            Self::Status | Self::Unknown => Kind::Other,
        }
    }

    fn rest(parts: &[&str]) -> Self {
        let own = |text: &str| text.to_owned();
        match *parts {
            ["application-properties"] => Self::ApplicationProperties,
            ["admin", "rate-limit", "settings"] => Self::RateLimitSettings,
            ["admin", "rate-limit", "settings", "users", slug] => Self::OwnRateLimit { slug: own(slug) },
            ["users"] => Self::Users,
            ["users", slug] => Self::User { slug: own(slug) },
            ["repos"] => Self::Repositories,
            ["projects"] => Self::Projects,
            ["projects", key] => Self::Project { key: own(key) },
            ["projects", key, "repos"] => Self::ProjectRepositories { key: own(key) },
            ["projects", key, "repos", slug] => Self::Repository { key: own(key), slug: own(slug) },
            ["projects", key, "repos", slug, "default-branch"] => {
                Self::DefaultBranch { key: own(key), slug: own(slug) }
            }
            ["projects", key, "repos", slug, "pull-requests"] => Self::PullRequests { key: own(key), slug: own(slug) },
            _ => Self::UnknownRest,
        }
    }

    fn access_tokens(parts: &[&str]) -> Self {
        let own = |text: &str| text.to_owned();
        let of_project = |key: &str, slug: Option<&str>| TokensOf::Project { key: own(key), slug: slug.map(own) };
        match *parts {
            ["users", slug] => Self::AccessTokens { of: TokensOf::User { slug: own(slug) } },
            ["users", slug, id] => Self::AccessToken { of: TokensOf::User { slug: own(slug) }, id: own(id) },
            ["projects", key] => Self::AccessTokens { of: of_project(key, None) },
            ["projects", key, "repos", slug] => Self::AccessTokens { of: of_project(key, Some(slug)) },
            ["projects", key, "repos", slug, id] => Self::AccessToken { of: of_project(key, Some(slug)), id: own(id) },
            ["projects", key, id] => Self::AccessToken { of: of_project(key, None), id: own(id) },
            _ => Self::UnknownRest,
        }
    }

    fn git(key: &str, slug: &str, rest: &[&str]) -> Self {
        let call = match rest {
            ["info", "refs"] => GitCall::InfoRefs,
            ["git-upload-pack"] => GitCall::UploadPack,
            ["git-receive-pack"] => GitCall::ReceivePack,
            _ => return Self::Unknown,
        };
        let slug = slug.strip_suffix(".git").unwrap_or(slug);
        Self::Git { key: key.to_owned(), slug: slug.to_owned(), call }
    }
}

/// The value of a query parameter.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(key, _)| decode(key) == name);
    found.next().map(|(_, value)| decode(&value.replace('+', " ")))
}

/// Takes percent-encoding away; what is not valid stays.
pub(crate) fn decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let digits = (digit(bytes.get(place + 1)), digit(bytes.get(place + 2)));
        if let (b'%', (Some(high), Some(low))) = (byte, digits) {
            decoded.push(u8::try_from(high * 16 + low).expect("two digits make a byte"));
            place += 3;
        } else {
            decoded.push(*byte);
            place += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes everything but letters, digits and `-._~`.
pub(crate) fn encode(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_below_the_context_path() {
        let of = |path| Route::of("/bitbucket", path);
        assert_eq!(of("/bitbucket/status"), Route::Status);
        assert_eq!(of("/status"), Route::Unknown);
        let key = "~jdoe".to_owned();
        let expected = Route::ProjectRepositories { key };
        assert_eq!(of("/bitbucket/rest/api/1.0/projects/%7Ejdoe/repos"), expected);
        let expected = Route::Git { key: "pay".into(), slug: "ledger".into(), call: GitCall::InfoRefs };
        assert_eq!(of("/bitbucket/scm/pay/ledger.git/info/refs"), expected);
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        let text = "j\u{f6}rg+x@example.com 100%";
        assert_eq!(decode(&encode(text)), text);
        let query = Some("start=0&name=a%26b");
        assert_eq!(parameter(query, "name").as_deref(), Some("a&b"));
    }
}
