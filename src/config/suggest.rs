//! "Did you mean …?"

/// A question that names the candidate that is most like `written`, if one is.
pub(super) fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(written, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// The candidate with the fewest edits, at most one and a third of the length, or one that begins with `written`.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long names have no near neighbours, and comparing takes quadratic time.
    if written.len() > 64 {
        return None;
    }
    let lower = written.to_lowercase();
    let most = 1 + written.chars().count() / 3;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            let begins = lower.len() >= 3 && candidate.to_lowercase().starts_with(&lower);
            (distance <= most || begins).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_and_prefixes_are_found() {
        let names = ["credential", "additional-credential", "server", "plan"];
        assert_eq!(nearest("creden", names), Some("credential"));
        assert_eq!(nearest("sevrer", names), Some("server"));
        assert_eq!(nearest("Plan", names), Some("plan"));
        assert_eq!(nearest("xyz", names), None);
    }
}
