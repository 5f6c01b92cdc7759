//! Where the declaration is: the repository, the branch and the path.

use std::fmt;

use super::AddressError;
use crate::model::base_url::InvalidBaseUrl;
use crate::model::{BaseUrl, RefName};

/// A file in a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The branch's full name.
    pub name: RefName,
    /// The path of the main file from the root of the tree, with plain components only.
    pub path: String,
}

/// The address of a repository over `https`. Names what to do about other transports.
pub fn repository_address(text: &str) -> Result<BaseUrl, AddressError> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    // `git@host:path` is ssh in disguise.
    let scp = scheme.is_none() && text.split_once(':').is_some_and(|(host, _)| !host.contains('/'));
    match scheme.as_deref() {
        Some("https" | "http") => BaseUrl::new(text).map_err(|why| AddressError::Url { why }),
        Some("ssh" | "git+ssh") => Err(AddressError::Ssh),
        None if scp => Err(AddressError::Ssh),
        Some(_) | None => Err(AddressError::Url { why: InvalidBaseUrl::Malformed }),
    }
}

/// A branch by its short or full name, and the path of a file in it.
pub fn branch_of(name: &str, path: &str) -> Result<Branch, AddressError> {
    let full = if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") };
    let name = RefName::new(full).map_err(|_| AddressError::Branch { name: name.to_owned() })?;
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if !path.split('/').all(plain) {
        return Err(AddressError::Path { path: path.to_owned() });
    }
    Ok(Branch { name, path: path.to_owned() })
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_a_way_to_a_repository() {
        let address = |text: &str| repository_address(text);
        assert_eq!(
            address("https://bb.example.com/scm/ops/backup.git").unwrap().origin(),
            "https://bb.example.com/scm/ops/backup.git"
        );
        for ssh in ["ssh://git@bb.example.com:7999/ops/backup.git", "git@bb.example.com:ops/backup.git", "bb:ops"] {
            let error = address(ssh).unwrap_err();
            assert_eq!(error, AddressError::Ssh, "{ssh}");
            assert!(error.hint().contains("https"));
        }
        for other in
            ["file:///srv/backup.git", "/srv/backup.git", "git://bb.example.com/x", "", "http://bb.example.com/x"]
        {
            assert!(matches!(address(other), Err(AddressError::Url { .. })), "{other}");
        }
        let secret = address("https://me:s3cr3t@bb.example.com/x.git").unwrap_err();
        assert!(!format!("{secret} {secret:?} {}", secret.hint()).contains("s3cr3t"));
    }

    #[test]
    fn a_path_stays_in_the_tree() {
        assert_eq!(branch_of("main", "a/xopero.kdl").unwrap().to_string(), "refs/heads/main:a/xopero.kdl");
        assert_eq!(branch_of("refs/tags/live", "x").unwrap().name.to_string(), "refs/tags/live");
        for path in ["", "/etc/passwd", "../x", "a/../x", "a//x", "./x", "a/"] {
            assert!(matches!(branch_of("main", path), Err(AddressError::Path { .. })), "{path}");
        }
        for name in ["", "a..b", "a b", "-\n"] {
            assert!(matches!(branch_of(name, "x"), Err(AddressError::Branch { .. })), "{name}");
        }
    }
}
