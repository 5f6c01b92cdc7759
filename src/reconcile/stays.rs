//! What is said where a file cannot be put in force.

use crate::model::Applied;
use crate::source::short_commit;

/// That a generation stays in force, since when, by whom and from which commit, as a clause.
pub fn stays_in_force(applied: &Applied) -> String {
    let Applied { generation, applied_at, applied_by, source, .. } = applied;
    let commit = source.commit.as_deref().map(|commit| format!(" from commit {}", short_commit(commit)));
    let at = applied_at.strftime("%Y-%m-%d %H:%M");
    format!("generation {generation} stays in force (applied {at} UTC by {applied_by}{})", commit.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::sample;

    #[test]
    fn what_stays_is_told_with_where_it_came_from() {
        let mut applied = sample::applied(sample::declaration());
        let said = "generation 41 stays in force (applied 1970-01-01 00:00 UTC by ada@vault)";
        assert_eq!(stays_in_force(&applied), said);
        applied.source.commit = Some("4c1d9e2290ab3f77".into());
        assert!(stays_in_force(&applied).ends_with("by ada@vault from commit 4c1d9e22)"));
    }
}
