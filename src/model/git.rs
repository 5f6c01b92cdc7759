//! Object ids, reference names, and the references of one repository at one time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hex;

/// Which hash a repository names its objects by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectFormat {
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl ObjectFormat {
    /// Bytes of an object id, and of a pack's trailer.
    pub const fn width(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The name that git's protocol and configuration use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

impl fmt::Display for ObjectFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not an object id, or bytes of a wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object id is 40 or 64 hexadecimal digits")]
pub struct InvalidObjectId;

/// The name of a git object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ObjectId {
    /// In a SHA-1 repository.
    Sha1([u8; 20]),
    /// In a SHA-256 repository.
    Sha256([u8; 32]),
}

impl ObjectId {
    /// Takes 20 or 32 raw bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidObjectId> {
        if let Ok(short) = <[u8; 20]>::try_from(bytes) {
            Ok(Self::Sha1(short))
        } else if let Ok(long) = <[u8; 32]>::try_from(bytes) {
            Ok(Self::Sha256(long))
        } else {
            Err(InvalidObjectId)
        }
    }

    /// Takes 40 or 64 lower or upper case hexadecimal digits.
    pub fn from_hex(digits: &[u8]) -> Result<Self, InvalidObjectId> {
        Self::from_bytes(&hex::decode(digits).ok_or(InvalidObjectId)?)
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }

    /// Which hash this is a value of.
    pub const fn format(&self) -> ObjectFormat {
        match self {
            Self::Sha1(_) => ObjectFormat::Sha1,
            Self::Sha256(_) => ObjectFormat::Sha256,
        }
    }

    /// Whether all bits are zero: git's way to say "no object".
    pub fn is_null(&self) -> bool {
        self.as_bytes().iter().all(|byte| *byte == 0)
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;
    fn from_str(text: &str) -> Result<Self, InvalidObjectId> {
        Self::from_hex(text.as_bytes())
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidObjectId;
    fn try_from(text: String) -> Result<Self, InvalidObjectId> {
        text.parse()
    }
}

impl From<ObjectId> for String {
    fn from(oid: ObjectId) -> String {
        oid.to_string()
    }
}

/// A reference name that no git repository may hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reference name breaks git's rules: {0:?}")]
pub struct InvalidRefName(String);

/// The full name of a reference, such as `refs/heads/main`. Bytes, because git does not ask for UTF-8.
///
/// In JSON a UTF-8 name is a string; any other is an object with the bytes in hexadecimal, `{"hex": "…"}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "JsonRefName", into = "JsonRefName")]
pub struct RefName(Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum JsonRefName {
    Text(String),
    Bytes { hex: String },
}

impl RefName {
    /// Checks a name against the rules of `git check-ref-format`, and that it is below `refs/`.
    ///
    /// The rules keep out what could break a line of `packed-refs` or climb out of a directory: control
    /// characters, space, `..`, `@{`, a component that begins with `.` or ends with `.lock`, and so on.
    pub fn new(name: impl Into<Vec<u8>>) -> Result<Self, InvalidRefName> {
        let name = name.into();
        if is_ref_name(&name) {
            Ok(Self(name))
        } else {
            Err(InvalidRefName(String::from_utf8_lossy(&name).into_owned()))
        }
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_ref_name(name: &[u8]) -> bool {
    let component = |part: &[u8]| !part.is_empty() && part[0] != b'.' && !part.ends_with(b".lock");
    name.len() <= 65_000
        && name.starts_with(b"refs/")
        && !name.ends_with(b".")
        && !name.iter().any(|byte| *byte <= b' ' || *byte == 0x7f || b"~^:?*[\\".contains(byte))
        && !name.windows(2).any(|pair| pair == b".." || pair == b"@{")
        && name.split(|byte| *byte == b'/').all(component)
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl TryFrom<JsonRefName> for RefName {
    type Error = InvalidRefName;
    fn try_from(json: JsonRefName) -> Result<Self, InvalidRefName> {
        match json {
            JsonRefName::Text(text) => Self::new(text),
            JsonRefName::Bytes { hex: digits } => {
                let bytes = hex::decode(digits.as_bytes()).ok_or(InvalidRefName(digits))?;
                Self::new(bytes)
            }
        }
    }
}

impl From<RefName> for JsonRefName {
    fn from(name: RefName) -> Self {
        match String::from_utf8(name.0) {
            Ok(text) => Self::Text(text),
            Err(other) => Self::Bytes { hex: hex::encode(other.as_bytes()) },
        }
    }
}

/// One reference: its name, what it points at, and the object behind an annotated tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RefTip {
    /// The full name.
    pub name: RefName,
    /// The object it points at.
    pub oid: ObjectId,
    /// For a reference to a tag object, the first object behind it that is not a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peeled: Option<ObjectId>,
}

/// What `HEAD` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Head {
    /// It names a reference that exists.
    Symbolic {
        /// The reference it names.
        target: RefName,
    },
    /// It names a reference that does not exist (yet).
    Unborn {
        /// The reference it names.
        target: RefName,
    },
    /// It names an object directly.
    Detached {
        /// The object.
        oid: ObjectId,
    },
    /// The server did not say: protocol v0 and v1 do not mention an unborn `HEAD`.
    Unknown,
}

/// Every reference of one repository at one time, as the server advertised them. Sorted by name, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// What `HEAD` is.
    pub head: Head,
    /// The references.
    pub tips: Vec<RefTip>,
}

impl References {
    /// Every object that a reference or a detached `HEAD` points at: sorted, each once.
    pub fn oids(&self) -> Vec<ObjectId> {
        let mut oids: Vec<_> = self.tips.iter().map(|tip| tip.oid).collect();
        if let Head::Detached { oid } = self.head {
            oids.push(oid);
        }
        oids.sort_unstable();
        oids.dedup();
        oids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_ids_survive_text() {
        let sha1 = "00ff0123456789abcdef0123456789abcdef0123";
        assert_eq!(sha1.parse::<ObjectId>().unwrap().to_string(), sha1);
        let sha256 = "11".repeat(32);
        assert_eq!(sha256.parse::<ObjectId>().unwrap().format(), ObjectFormat::Sha256);
        assert!("00ff".parse::<ObjectId>().is_err());
        assert!("zz".repeat(20).parse::<ObjectId>().is_err());
    }

    #[test]
    fn odd_but_legal_names_pass_and_survive_json() {
        for name in
            ["refs/heads/-o", "refs/heads/$(id)", "refs/heads/a;id", "refs/heads/a\u{202e}b", "refs/custom/#%\"'"]
        {
            let name = RefName::new(name).unwrap();
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(serde_json::from_str::<RefName>(&json).unwrap(), name);
        }
        let latin = RefName::new(b"refs/heads/caf\xe9".to_vec()).unwrap();
        let json = serde_json::to_string(&latin).unwrap();
        assert!(json.contains("hex"), "{json}");
        assert_eq!(serde_json::from_str::<RefName>(&json).unwrap(), latin);
    }

    #[test]
    fn names_that_git_refuses_are_refused() {
        for name in [
            "HEAD",
            "refs/",
            "refs//x",
            "refs/heads/../x",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs/heads/x ",
            "refs/heads/x\n0000",
            "refs/heads/x\x1b",
            "refs/heads/x~1",
            "refs/heads/x:y",
            "refs/heads/@{1}",
            "refs/heads/x.",
        ] {
            assert!(RefName::new(name).is_err(), "{name:?}");
        }
    }
}
