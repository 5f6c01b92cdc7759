//! The branch that is followed.

use super::{StateError, StateStore};
use crate::model::{Applied, Followed, Generation};

/// Its place among what was observed.
const KIND: &str = "source";
const NAME: &str = "branch";

impl StateStore {
    /// The branch that is followed, if one is. What another version wrote in its own words is none: following it again
    /// replaces it.
    pub async fn followed(&self) -> Result<Option<Followed>, StateError> {
        let row = sqlx::query("SELECT body FROM observed WHERE kind = $1 AND name = $2")
            .bind(KIND)
            .bind(NAME)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read which branch is followed"))?;
        Ok(row.and_then(|row| self.read("which branch is followed", &row).json("body").ok()))
    }

    /// Remembers what is followed, in place of what was.
    pub async fn follow(&self, followed: &Followed) -> Result<(), StateError> {
        let body = serde_json::to_string(followed).expect("a followed branch is plain data");
        sqlx::query(
            "INSERT INTO observed (kind, name, body) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
        )
        .bind(KIND)
        .bind(NAME)
        .bind(body)
        .execute(&self.pool)
        .await
        .map_err(self.failed("record which branch is followed"))?;
        Ok(())
    }

    /// Follows none.
    pub async fn unfollow(&self) -> Result<(), StateError> {
        sqlx::query("DELETE FROM observed WHERE kind = $1 AND name = $2")
            .bind(KIND)
            .bind(NAME)
            .execute(&self.pool)
            .await
            .map_err(self.failed("forget which branch is followed"))?;
        Ok(())
    }

    /// Remembers that a commit of the branch says what this generation says, if a branch is followed.
    pub async fn says_what_is_in_force(&self, generation: Generation, commit: &str) -> Result<(), StateError> {
        let Some(followed) = self.followed().await? else { return Ok(()) };
        self.follow(&Followed { in_force: Some((generation, commit.to_owned())), ..followed }).await
    }

    /// The commit that what comes after `applied` must come from, if one is known.
    pub async fn source_base(&self, applied: &Applied) -> Result<Option<String>, StateError> {
        let followed = self.followed().await?;
        Ok(match &followed {
            Some(followed) => followed.base(applied).map(str::to_owned),
            None => applied.source.commit.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;
    use crate::model::FollowedBranch;

    #[tokio::test]
    async fn what_is_followed_is_remembered_until_it_is_not() {
        let (_home, store) = fresh().await;
        let at = FollowedBranch { repository: "https://bb".into(), branch: "refs/heads/main".into(), path: "x".into() };
        store.says_what_is_in_force(Generation(1), "aa").await.unwrap();
        assert_eq!(store.followed().await.unwrap(), None);
        store.follow(&Followed::new(at.clone())).await.unwrap();
        store.says_what_is_in_force(Generation(2), "bb").await.unwrap();
        let expected = Followed { in_force: Some((Generation(2), "bb".into())), ..Followed::new(at) };
        assert_eq!(store.followed().await.unwrap(), Some(expected));
        store.unfollow().await.unwrap();
        assert_eq!(store.followed().await.unwrap(), None);
    }
}
