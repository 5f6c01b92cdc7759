//! The head of a bundle: what stock git reads before a pack to clone from a file.
//!
//! A bundle is this head and one pack that holds everything behind its references. It names no prerequisites, so
//! the pack must be self-contained and complete.

use super::error::BundleError;
use crate::model::{Head, ObjectFormat, References};

/// The head of a bundle with all references and, if it resolves, `HEAD`: version 2 for SHA-1, version 3 otherwise.
///
/// An unborn `HEAD` cannot be told in a bundle.
pub fn bundle_header(format: ObjectFormat, references: &References) -> Result<Vec<u8>, BundleError> {
    let mut header = match format {
        ObjectFormat::Sha1 => b"# v2 git bundle\n".to_vec(),
        ObjectFormat::Sha256 => b"# v3 git bundle\n@object-format=sha256\n".to_vec(),
    };
    let head = match &references.head {
        Head::Symbolic { target } => references.tips.iter().find(|tip| tip.name == *target).map(|tip| tip.oid),
        Head::Detached { oid } => Some(*oid),
        Head::Unborn { .. } | Head::Unknown => None,
    };
    if references.tips.is_empty() && head.is_none() {
        return Err(BundleError::Empty);
    }
    let tips = references.tips.iter().map(|tip| (tip.oid, tip.name.as_bytes()));
    for (oid, name) in head.map(|oid| (oid, &b"HEAD"[..])).into_iter().chain(tips) {
        header.extend_from_slice(oid.to_string().as_bytes());
        header.push(b' ');
        header.extend_from_slice(name);
        header.push(b'\n');
    }
    header.push(b'\n');
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::stock::Stock;

    #[test]
    fn stock_git_verifies_and_clones_it() {
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let stock = Stock::with_history(format);
            let mut bundle = bundle_header(format, &stock.references()).unwrap();
            bundle.extend(stock.pack(&["--all"]));
            let file = stock.path().join("all.bundle");
            std::fs::write(&file, bundle).unwrap();
            let file = file.to_str().unwrap();
            stock.git(&["bundle", "verify", "-q", file], b"");
            stock.git(&["clone", "-q", "--mirror", file, "copy.git"], b"");
            let copy = stock.at("copy.git");
            assert_eq!(copy.references(), stock.references());
            copy.git(&["fsck", "--strict", "--no-dangling"], b"");
            stock.git(&["clone", "-q", file, "work"], b"");
            assert_eq!(stock.at("work").rev("HEAD"), stock.rev("main"));
        }
    }

    #[test]
    fn nothing_makes_no_bundle() {
        let nothing = References { head: Head::Unknown, tips: Vec::new() };
        assert_eq!(bundle_header(ObjectFormat::Sha1, &nothing), Err(BundleError::Empty));
    }
}
