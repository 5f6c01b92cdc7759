//! The repositories of the projects, as they were listed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::{
    Address, Applied, Inventories, Inventory, ProjectKey, ProjectSelector, Remembered, RepoId, ServerName, Uid,
};

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

    /// When the projects of a server were listed last, by the keys that they are declared by.
    pub async fn listed_at(&self, server: Uid) -> Result<BTreeMap<ProjectKey, Timestamp>, StateError> {
        let rows = sqlx::query("SELECT project, observed_at FROM listings WHERE server = $1")
            .bind(server.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the listings"))?;
        let listed = rows.iter().map(|row| {
            let read = self.read("a listing", row);
            Ok((read.parse("project")?, read.time("observed_at")?))
        });
        listed.collect()
    }

    /// Remembers that a declared project was listed at that time, and what of: all of it, or nothing.
    pub async fn record_listing(
        &self,
        server: Uid,
        project: &ProjectKey,
        observed_at: Timestamp,
        repositories: &BTreeMap<RepoId, Remembered>,
    ) -> Result<(), StateError> {
        self.undisturbed(|| self.record_listing_once(server, project, observed_at, repositories)).await
    }

    async fn record_listing_once(
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
        crash::point(CrashPoint::ListingWritten);
        self.commit(transaction, ATTEMPT).await?;
        crash::point(CrashPoint::ListingRecorded);
        Ok(())
    }

    /// The repositories of each project in force, by its last listing.
    pub(super) async fn inventories(&self, applied: &Applied) -> Result<Inventories, StateError> {
        let rows = sqlx::query(
            "SELECT i.server, i.repository, i.listed_in, i.stored, i.body, l.observed_at FROM listings l
             JOIN inventory i ON i.server = l.server AND i.listed_in = l.project AND i.seen_at = l.observed_at",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the known repositories"))?;
        let mut inventories = Inventories::new();
        for (server, project, observed_at) in self.listings(applied).await? {
            let of_server = inventories.entry(server).or_default();
            of_server.insert(project, Inventory { observed_at, repositories: BTreeMap::new() });
        }
        for row in &rows {
            let read = self.read("a known repository", row);
            let (project, server) = (read.parse("listed_in")?, read.parse("server")?);
            let Some(server) = in_force(applied, &project, server) else { continue };
            let listed = inventories.get_mut(server).and_then(|of_server| of_server.get_mut(&project));
            let Some(inventory) = listed else { continue };
            let Remembered { mut last, .. } = read.json("body")?;
            last.stored = read.get::<Option<i64>>("stored")?.and_then(|bytes| u64::try_from(bytes).ok());
            inventory.repositories.insert(RepoId(read.parse("repository")?), last);
        }
        Ok(inventories)
    }

    /// When each project in force was listed: one without repositories has a listing, too.
    async fn listings(&self, applied: &Applied) -> Result<Vec<(ServerName, ProjectKey, Timestamp)>, StateError> {
        let rows = sqlx::query("SELECT server, project, observed_at FROM listings")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the listings"))?;
        let mut listings = Vec::new();
        for row in &rows {
            let read = self.read("a listing", row);
            let (project, server) = (read.parse("project")?, read.parse("server")?);
            if let Some(server) = in_force(applied, &project, server) {
                listings.push((server.clone(), project, read.time("observed_at")?));
            }
        }
        Ok(listings)
    }
}

/// The server that a project is on, if it is declared there: by its key, or because it fits a pattern.
fn in_force<'a>(applied: &'a Applied, project: &ProjectKey, server: Uid) -> Option<&'a ServerName> {
    let is_server = |name| applied.uids.get(&Address::server(name)) == Some(&server);
    let mut declared = applied.declaration.projects.iter().filter(|(_, declared)| is_server(&declared.server));
    let (_, found) = declared.find(|(selector, _)| match selector {
        ProjectSelector::Key(key) => key.as_str().eq_ignore_ascii_case(project.as_str()),
        ProjectSelector::Pattern(pattern) => pattern.matches(project.as_str()),
    })?;
    Some(&found.server)
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

    /// The inventories of server `bb`.
    async fn listed(store: &StateStore, applied: &Applied) -> BTreeMap<ProjectKey, Inventory> {
        let mut known = store.observations(Some(applied)).await.unwrap().inventories;
        known.remove(&"bb".parse::<ServerName>().unwrap()).unwrap_or_default()
    }

    #[tokio::test]
    async fn two_servers_may_have_a_project_of_one_key() {
        let (_home, store) = fresh().await;
        let mut applied = sample::applied(sample::declaration());
        let (one, other): (ServerName, ServerName) = ("bb".parse().unwrap(), "old".parse().unwrap());
        let (uid, other_uid) = (Uid::from_parts(1, 1), Uid::from_parts(9, 9));
        let declared = &mut applied.declaration;
        declared.servers.insert(other.clone(), declared.servers[&one].clone());
        let mut fitting = declared.projects.values().next().unwrap().clone();
        fitting.server = other.clone();
        declared.projects.insert("P*".parse().unwrap(), fitting);
        applied.uids.extend([(Address::server(&one), uid), (Address::server(&other), other_uid)]);
        let pay = ProjectKey::new("PAY").unwrap();
        for (server, slug) in [(uid, "ledger"), (other_uid, "book")] {
            store.record_listing(server, &pay, at(1), &[(RepoId(1), remembered(slug, 1))].into()).await.unwrap();
        }
        let known = store.observations(Some(&applied)).await.unwrap().inventories;
        let slug = |server: &ServerName| known[server][&pay].repositories[&RepoId(1)].slug.as_str();
        assert_eq!((slug(&one), slug(&other)), ("ledger", "book"));
    }

    #[tokio::test]
    async fn the_inventory_is_the_last_listing_and_the_memory_is_longer() {
        let (_home, store) = fresh().await;
        let mut applied = sample::applied(sample::declaration());
        let server = Uid::from_parts(1, 1);
        applied.uids.insert(Address::server(&"bb".parse().unwrap()), server);
        let pay = ProjectKey::new("PAY").unwrap();
        assert_eq!(listed(&store, &applied).await, BTreeMap::new());
        let first = [(RepoId(1), remembered("ledger", 1)), (RepoId(u64::MAX), remembered("web", 1))].into();
        store.record_listing(server, &pay, at(1), &first).await.unwrap();
        let second = [(RepoId(1), remembered("book", 2))].into();
        store.record_listing(server, &pay, at(2), &second).await.unwrap();
        let inventory = listed(&store, &applied).await.remove(&pay).unwrap();
        assert_eq!(inventory.observed_at, at(2));
        let slugs: Vec<_> = inventory.repositories.values().map(|repository| repository.slug.as_str()).collect();
        assert_eq!(slugs, ["book"]);
        let known = store.remembered(server).await.unwrap();
        assert_eq!(known.keys().copied().collect::<Vec<_>>(), [RepoId(1), RepoId(u64::MAX)]);

        assert_eq!(store.listed_at(server).await.unwrap(), [(pay.clone(), at(2))].into());

        store.record_listing(server, &pay, at(3), &BTreeMap::new()).await.unwrap();
        let empty = listed(&store, &applied).await.remove(&pay).unwrap();
        assert_eq!((empty.observed_at, empty.repositories.len()), (at(3), 0));
        let other = Uid::from_parts(9, 9);
        store.record_listing(other, &pay, at(4), &second).await.unwrap();
        let own = listed(&store, &applied).await.remove(&pay).unwrap();
        assert_eq!(own.observed_at, at(3), "another server's project of that key is another one");
    }
}
