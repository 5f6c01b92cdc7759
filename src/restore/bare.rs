//! A snapshot as a bare repository that equals the source: references, `HEAD`, objects.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::RestoreError;
use super::partial::Partial;
use crate::archive::{Manifest, Verification, verify};
use crate::model::{Head, ObjectFormat, References};
use crate::secret::Identities;
use crate::store::Store;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The proof that it is whole.
    pub verification: Verification,
    /// What differs from the source because it is not known, for people.
    pub notes: Vec<String>,
}

/// Restores a snapshot to a bare repository at `target`, proven object by object.
pub async fn restore(
    store: &Store,
    manifest: &Manifest,
    identities: &Identities,
    target: &Path,
    stop: Arc<AtomicBool>,
) -> Result<Restored, RestoreError> {
    let mut partial = Partial::beside(target)?;
    partial.create_dir()?;
    let root = partial.path().to_owned();
    let failed = |source| RestoreError::Write { path: target.to_owned(), source };
    for directory in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        fs::create_dir_all(root.join(directory)).map_err(failed)?;
    }
    let packs = root.join("objects/pack");
    let verified = verify(store, manifest, identities, &packs, Arc::clone(&stop)).await;
    if stop.load(Ordering::Relaxed) {
        return Err(RestoreError::Stopped);
    }
    let verification = verified?;
    if !verification.findings.is_empty() {
        return Err(RestoreError::Damaged { findings: verification.findings });
    }
    let references = &manifest.git.references;
    fs::write(root.join("config"), config(manifest.git.object_format)).map_err(failed)?;
    fs::write(root.join("packed-refs"), packed_refs(references)).map_err(failed)?;
    let mut notes = Vec::new();
    fs::write(root.join("HEAD"), head(references, &mut notes)).map_err(failed)?;
    tokio::task::spawn_blocking(move || partial.finish()).await.expect("syncing does not panic")?;
    Ok(Restored { verification, notes })
}

fn config(format: ObjectFormat) -> &'static str {
    match format {
        ObjectFormat::Sha1 => "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
        ObjectFormat::Sha256 => {
            "[core]\n\trepositoryformatversion = 1\n\tfilemode = true\n\tbare = true\n[extensions]\n\tobjectformat = sha256\n"
        }
    }
}

/// The format of git's `packed-refs` file: sorted, and with every annotated tag's target.
fn packed_refs(references: &References) -> Vec<u8> {
    let mut text = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
    for tip in &references.tips {
        let mut line = || -> std::io::Result<()> {
            write!(text, "{} ", tip.oid)?;
            text.write_all(tip.name.as_bytes())?;
            text.write_all(b"\n")?;
            if let Some(peeled) = tip.peeled {
                writeln!(text, "^{peeled}")?;
            }
            Ok(())
        };
        line().expect("writing to memory cannot fail");
    }
    text
}

fn head(references: &References, notes: &mut Vec<String>) -> Vec<u8> {
    let symbolic = |target: &[u8]| [b"ref: ", target, b"\n"].concat();
    match &references.head {
        Head::Symbolic { target } | Head::Unborn { target } => symbolic(target.as_bytes()),
        Head::Detached { oid } => format!("{oid}\n").into_bytes(),
        Head::Unknown => {
            let exists = |name: &&&[u8]| references.tips.iter().any(|tip| tip.name.as_bytes() == **name);
            let usual: [&[u8]; 2] = [b"refs/heads/main", b"refs/heads/master"];
            let target = usual.iter().find(exists).copied().unwrap_or(usual[0]);
            notes.push(format!("the server did not tell HEAD; it is set to {}", String::from_utf8_lossy(target)));
            symbolic(target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ObjectId, RefName, RefTip};

    #[test]
    fn packed_refs_is_what_git_writes() {
        let (one, two) = (ObjectId::Sha1([0x11; 20]), ObjectId::Sha1([0x22; 20]));
        let references = References {
            head: Head::Unknown,
            tips: vec![
                RefTip { name: RefName::new("refs/heads/master").unwrap(), oid: one, peeled: None },
                RefTip { name: RefName::new("refs/tags/v1").unwrap(), oid: two, peeled: Some(one) },
            ],
        };
        let text = String::from_utf8(packed_refs(&references)).unwrap();
        let expected = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{one} refs/heads/master\n{two} refs/tags/v1\n^{one}\n"
        );
        assert_eq!(text, expected);
        let mut notes = Vec::new();
        assert_eq!(head(&references, &mut notes), b"ref: refs/heads/master\n");
        assert_eq!(notes.len(), 1);
    }
}
