//! What servers said about themselves, and which destination is bound to which identity.

use super::{StateError, StateStore};
use crate::crash::{self, CrashPoint};
use crate::model::{DestinationId, DestinationName, Place, Uid};

impl StateStore {
    /// What was learnt of a server, in the words of the room that learnt it.
    pub async fn server_facts(&self, server: Uid) -> Result<Option<Vec<u8>>, StateError> {
        let row = sqlx::query("SELECT body FROM server_facts WHERE server = $1")
            .bind(server.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read what is known of a server"))?;
        row.map(|row| self.read("what is known of a server", &row).get("body")).transpose()
    }

    /// Remembers what was learnt of a server, in place of what was known.
    pub async fn set_server_facts(&self, server: Uid, body: &[u8]) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO server_facts (server, body) VALUES ($1, $2)
             ON CONFLICT (server) DO UPDATE SET body = excluded.body",
        )
        .bind(server.to_string())
        .bind(body.to_vec())
        .execute(&self.pool)
        .await
        .map_err(self.failed("record what is known of a server"))?;
        Ok(())
    }

    /// The identity that a destination had in its marker when it was used from here. A destination that was moved to
    /// another place is another one until it is bound.
    pub async fn destination_id(
        &self,
        name: &DestinationName,
        place: &Place,
    ) -> Result<Option<DestinationId>, StateError> {
        let row = sqlx::query("SELECT id FROM destinations WHERE name = $1 AND place = $2")
            .bind(name.as_str())
            .bind(place.identity())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read the identity of a destination"))?;
        row.map(|row| self.read("the identity of a destination", &row).parse("id")).transpose()
    }

    /// Remembers the identity of a destination.
    pub async fn bind_destination(
        &self,
        name: &DestinationName,
        place: &Place,
        id: DestinationId,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO destinations (name, place, id) VALUES ($1, $2, $3)
             ON CONFLICT (name, place) DO UPDATE SET id = excluded.id",
        )
        .bind(name.as_str())
        .bind(place.identity())
        .bind(id.to_string())
        .execute(&self.pool)
        .await
        .map_err(self.failed("record the identity of a destination"))?;
        crash::point(CrashPoint::DestinationBound);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::fresh;
    use super::*;

    #[tokio::test]
    async fn the_last_facts_count() {
        let (_home, store) = fresh().await;
        let (server, other) = (Uid::from_parts(1, 1), Uid::from_parts(1, 2));
        assert_eq!(store.server_facts(server).await.unwrap(), None);
        store.set_server_facts(server, b"{\"v\":1}").await.unwrap();
        store.set_server_facts(server, b"{\"v\":2}").await.unwrap();
        assert_eq!(store.server_facts(server).await.unwrap().unwrap(), b"{\"v\":2}");
        assert_eq!(store.server_facts(other).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_moved_destination_is_not_bound() {
        let (_home, store) = fresh().await;
        let name = DestinationName::new("nas").unwrap();
        let (here, there) = (Place::Local { path: "/a".into() }, Place::Local { path: "/b".into() });
        let id = DestinationId::from_parts(1, 1);
        store.bind_destination(&name, &here, id).await.unwrap();
        assert_eq!(store.destination_id(&name, &here).await.unwrap(), Some(id));
        assert_eq!(store.destination_id(&name, &there).await.unwrap(), None);
    }
}
