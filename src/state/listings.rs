//! The repositories of the projects, as they were listed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{StateError, StateStore};
use crate::model::{Address, Applied, Inventory, ProjectKey, ProjectSelector, Remembered, RepoId, Uid};

impl StateStore {
    /// What is remembered of the repositories of a server, also of those that are no longer listed.
    pub async fn remembered(&self, server: Uid) -> Result<BTreeMap<RepoId, Remembered>, StateError> {
        let rows = sqlx::query("SELECT repository, body FROM inventory WHERE server = $1")
            .bind(server.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the known repositories"))?;
        let remembered = rows.iter().map(|row| {
            let read = self.read("a known repository", row);
            Ok((RepoId(read.parse("repository")?), read.json("body")?))
        });
        remembered.collect()
    }

    /// Remembers that a declared project was listed at that time, and what of: all of it, or nothing.
    pub async fn record_listing(
        &self,
        server: Uid,
        project: &ProjectKey,
        observed_at: Timestamp,
        repositories: &BTreeMap<RepoId, Remembered>,
    ) -> Result<(), StateError> {
        const ATTEMPT: &str = "record a listing";
        let mut transaction = self.begin(ATTEMPT).await?;
        sqlx::query(
            "INSERT INTO listings (server, project, observed_at) VALUES ($1, $2, $3)
             ON CONFLICT (server, project) DO UPDATE SET observed_at = excluded.observed_at",
        )
        .bind(server.to_string())
        .bind(project.as_str())
        .bind(observed_at.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(self.failed(ATTEMPT))?;
        for (id, remembered) in repositories {
            let body = serde_json::to_string(remembered).map_err(|error| self.damaged("a known repository", error))?;
            sqlx::query(
                "INSERT INTO inventory (server, repository, listed_in, seen_at, body) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (server, repository) DO UPDATE SET listed_in = excluded.listed_in,
                    seen_at = excluded.seen_at, body = excluded.body",
            )
            .bind(server.to_string())
            .bind(id.to_string())
            .bind(remembered.listed_in.as_str())
            .bind(observed_at.as_millisecond())
            .bind(body)
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(ATTEMPT))?;
        }
        transaction.commit().await.map_err(self.failed(ATTEMPT))
    }

    /// The repositories of each project in force, by its last listing.
    pub(super) async fn inventories(&self, applied: &Applied) -> Result<BTreeMap<ProjectKey, Inventory>, StateError> {
        let rows = sqlx::query(
            "SELECT i.server, i.repository, i.listed_in, i.stored, i.body, l.observed_at FROM listings l
             JOIN inventory i ON i.server = l.server AND i.listed_in = l.project AND i.seen_at = l.observed_at",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the known repositories"))?;
        let mut inventories: BTreeMap<ProjectKey, Inventory> = BTreeMap::new();
        for (project, observed_at) in self.listings(applied).await? {
            inventories.insert(project, Inventory { observed_at, repositories: BTreeMap::new() });
        }
        for row in &rows {
            let read = self.read("a known repository", row);
            let (project, server) = (read.parse("listed_in")?, read.parse("server")?);
            if !is_in_force(applied, &project, server) {
                continue;
            }
            let Some(inventory) = inventories.get_mut(&project) else { continue };
            let Remembered { mut last, .. } = read.json("body")?;
            last.stored = read.get::<Option<i64>>("stored")?.and_then(|bytes| u64::try_from(bytes).ok());
            inventory.repositories.insert(RepoId(read.parse("repository")?), last);
        }
        Ok(inventories)
    }

    /// When each project in force was listed: one without repositories has a listing, too.
    async fn listings(&self, applied: &Applied) -> Result<Vec<(ProjectKey, Timestamp)>, StateError> {
        let rows = sqlx::query("SELECT server, project, observed_at FROM listings")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the listings"))?;
        let mut listings = Vec::new();
        for row in &rows {
            let read = self.read("a listing", row);
            let (project, server) = (read.parse("project")?, read.parse("server")?);
            if is_in_force(applied, &project, server) {
                listings.push((project, read.time("observed_at")?));
            }
        }
        Ok(listings)
    }
}

/// Whether a project of that server is declared: by its key, or because it fits a pattern.
fn is_in_force(applied: &Applied, project: &ProjectKey, server: Uid) -> bool {
    let is_server = |name| applied.uids.get(&Address::server(name)) == Some(&server);
    let mut declared = applied.declaration.projects.iter().filter(|(_, declared)| is_server(&declared.server));
    declared.any(|(selector, _)| match selector {
        ProjectSelector::Key(key) => key.as_str().eq_ignore_ascii_case(project.as_str()),
        ProjectSelector::Pattern(pattern) => pattern.matches(project.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;
    use crate::change::sample;
    use crate::model::{Generation, ListedRepository, ProjectId, RepositoryName, RepositoryState};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn remembered(slug: &str, second: i64) -> Remembered {
        let (project, project_id) = (ProjectKey::new("PAY").unwrap(), ProjectId(7));
        let slug: crate::model::RepoSlug = slug.parse().unwrap();
        Remembered {
            listed_in: project.clone(),
            last: ListedRepository {
                project: project.clone(),
                project_id,
                slug: slug.clone(),
                state: RepositoryState::Available,
                archived: false,
                stored: None,
            },
            seen_at: at(second),
            before: RepositoryName { project_id, project, slug },
            generation: Generation(1),
        }
    }

    #[tokio::test]
    async fn the_inventory_is_the_last_listing_and_the_memory_is_longer() {
        let (_home, store) = fresh().await;
        let mut applied = sample::applied(sample::declaration());
        let server = Uid::from_parts(1, 1);
        applied.uids.insert(Address::server(&"bb".parse().unwrap()), server);
        let pay = ProjectKey::new("PAY").unwrap();
        assert_eq!(store.observations(Some(&applied)).await.unwrap().inventories, BTreeMap::new());
        let first = [(RepoId(1), remembered("ledger", 1)), (RepoId(u64::MAX), remembered("web", 1))].into();
        store.record_listing(server, &pay, at(1), &first).await.unwrap();
        let second = [(RepoId(1), remembered("book", 2))].into();
        store.record_listing(server, &pay, at(2), &second).await.unwrap();
        let inventory = store.observations(Some(&applied)).await.unwrap().inventories.remove(&pay).unwrap();
        assert_eq!(inventory.observed_at, at(2));
        let slugs: Vec<_> = inventory.repositories.values().map(|repository| repository.slug.as_str()).collect();
        assert_eq!(slugs, ["book"]);
        let known = store.remembered(server).await.unwrap();
        assert_eq!(known.keys().copied().collect::<Vec<_>>(), [RepoId(1), RepoId(u64::MAX)]);

        store.record_listing(server, &pay, at(3), &BTreeMap::new()).await.unwrap();
        let empty = store.observations(Some(&applied)).await.unwrap().inventories.remove(&pay).unwrap();
        assert_eq!((empty.observed_at, empty.repositories.len()), (at(3), 0));
        let other = Uid::from_parts(9, 9);
        store.record_listing(other, &pay, at(4), &second).await.unwrap();
        let own = store.observations(Some(&applied)).await.unwrap().inventories.remove(&pay).unwrap();
        assert_eq!(own.observed_at, at(3), "another server's project of that key is another one");
    }
}
