//! What must hold whenever a process was killed, looked at without it.
//!
//! - The database opens, is whole, and its snapshots are those of before or more; none changes.
//! - Every manifest in a destination, whether the state knows it or not, opens and names packs that are stored with the
//!   size and the digest that it says. What was stored once stays as it is.
//! - A chain ends in a snapshot that is listed, and continues what its manifest says.
//! - What is in force is a text that the file had, whole, and no older one than before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fake_bitbucket::judge;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, Connection, Row};
use xopero::archive::{Manifest, read_document, unpack_document};
use xopero::clock::SystemClock;
use xopero::model::{Applied, Generation, Place, RepoId, SnapshotRecord, hex};
use xopero::secret::{Identities, IdentitySources, find_identities};
use xopero::state::StateStore;
use xopero::store::{Access, Store};

use super::estate::{Estate, on_runtime};
use super::keeping::connect_to;
use crate::proof::name_of;

const DESTINATIONS: [&str; 2] = ["nas", "offsite"];

/// More snapshots than these are in no home.
const MOST: u32 = 1_000_000;

/// What earlier inquests found.
#[derive(Default)]
pub struct Memory {
    catalogue: BTreeMap<String, SnapshotRecord>,
    manifests: BTreeMap<(&'static str, String), Manifest>,
    /// Objects of the destinations that were read, with their sizes.
    proven: BTreeMap<PathBuf, u64>,
    generation: Option<Generation>,
}

impl Memory {
    pub fn snapshots(&self) -> usize {
        self.catalogue.len()
    }

    /// There is no state, and there was none.
    fn demand_nothing(&self) {
        assert_eq!(self.generation, None, "what was in force stays so");
    }
}

impl Estate {
    /// Demands everything that holds at any time.
    pub fn inquest(&mut self) {
        self.keeping.come_to_rest();
        let mut memory = std::mem::take(&mut self.memory);
        on_runtime(self.look(&mut memory));
        self.memory = memory;
    }

    async fn look(&self, memory: &mut Memory) {
        let Some(left) = self.keeping.left(&self.home).await else {
            return memory.demand_nothing();
        };
        let Some(state) = StateStore::open_existing(&left.location, &SystemClock).await.expect("it opens") else {
            return memory.demand_nothing();
        };
        self.in_force(state.applied().await.expect("it can be read").as_ref(), memory);
        let found = state.whole_catalogue(MOST).await.expect("it can be read").expect("there are not so many");
        let catalogue: BTreeMap<String, SnapshotRecord> =
            found.into_iter().map(|(record, damaged)| (demand_whole(&record, damaged), record)).collect();
        for (id, record) in &memory.catalogue {
            assert_eq!(catalogue.get(id), Some(record), "a listed snapshot stays as it is");
        }
        memory.catalogue = catalogue;
        self.destinations(memory).await;
        chains(left.connect().await, memory).await;
        state.close().await;
    }

    /// What is in force is what the file said at some time, and no older than what was before.
    fn in_force(&self, applied: Option<&Applied>, memory: &mut Memory) {
        let Some(applied) = applied else {
            assert_eq!(memory.generation, None, "what was in force stays so");
            return;
        };
        let keep = applied.declaration.retentions.values().next().expect("it has rules").keep.last;
        assert_eq!(self.versions.get(&applied.source.sha256), Some(&keep), "generation {}", applied.generation);
        assert_eq!((applied.declaration.plans.len(), applied.uids.len()), (2, 3), "two plans and a server");
        assert!(memory.generation.is_none_or(|before| before <= applied.generation), "no generation goes back");
        memory.generation = Some(applied.generation);
    }

    /// Reads what is new in the destinations, and looks whether the rest is there.
    async fn destinations(&self, memory: &mut Memory) {
        let identities = self.identities();
        for name in DESTINATIONS {
            let folder = self.home.destination(name);
            if !folder.is_dir() {
                continue;
            }
            let place = Place::Local { path: folder.to_str().expect("the path is UTF-8").to_owned() };
            let store = Store::open(&place, Path::new("/"), Access::Read).expect("it opens");
            for key in store.manifests().await.expect("they can be listed") {
                let entry = (name, key);
                if memory.manifests.contains_key(&entry) {
                    continue;
                }
                let manifest: Manifest =
                    read_document(&store, &entry.1, &identities).await.expect("every listed manifest opens");
                for pack in &manifest.git.packs {
                    let path = folder.join(&pack.key);
                    let bytes = memory.proven.get(&path).copied().unwrap_or_else(|| {
                        let stored = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                        assert_eq!(hex::encode(&Sha256::digest(&stored)), pack.stored_sha256, "{}", path.display());
                        stored.len() as u64
                    });
                    assert_eq!(bytes, pack.stored_bytes, "{}", path.display());
                    memory.proven.insert(path, bytes);
                }
                memory.manifests.insert(entry, manifest);
            }
        }
        for (path, bytes) in &memory.proven {
            let found = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(found.len(), *bytes, "{}", path.display());
        }
        for record in memory.catalogue.values() {
            let name = DESTINATIONS.into_iter().find(|name| *name == record.destination_name.as_str());
            let entry = (name.expect("it has one of two names"), record.key.clone());
            let manifest = memory.manifests.get(&entry);
            assert_eq!(manifest.map(|manifest| manifest.snapshot), Some(record.id), "what is listed has a manifest");
        }
    }

    fn identities(&self) -> Identities {
        let sources = IdentitySources {
            explicit: Some(self.home.path().join("backup.txt")),
            environment: None,
            credentials_directory: None,
            home: None,
            system: PathBuf::from("/nonexistent"),
        };
        find_identities(&sources).expect("the identity is there")
    }

    /// What holds when the last process ended by itself: nothing is left over, and the newest snapshots say what the
    /// repositories say.
    pub fn demand_settled(&self) {
        assert_eq!(self.strays(), Vec::<String>::new());
        let running = on_runtime(async {
            let mut database = connect_to(&self.home).await;
            let row = sqlx::query("SELECT COUNT(*) FROM runs WHERE state = 'running'").fetch_one(&mut database).await;
            let count: i64 = row.expect("it can be counted").get(0);
            database.close().await.expect("it closes");
            count
        });
        assert_eq!(running, 0, "no run counts as under way");
        for repository in &self.repositories {
            let newest = |destination: &str| {
                let of = |record: &&SnapshotRecord| {
                    record.repository == RepoId(repository.id())
                        && record.plan_name.as_str() == "nightly"
                        && record.destination_name.as_str() == destination
                };
                let newest = self.memory.catalogue.values().filter(of).max_by_key(|record| record.id);
                newest.unwrap_or_else(|| panic!("{} is in {destination}", name_of(repository))).key.clone()
            };
            let now: BTreeMap<Vec<u8>, String> =
                repository.refs().into_iter().map(|reference| (reference.name, reference.oid)).collect();
            for destination in DESTINATIONS {
                let manifest = &self.memory.manifests[&(destination, newest(destination))];
                let tips = manifest.git.references.tips.iter();
                let held: BTreeMap<Vec<u8>, String> =
                    tips.map(|tip| (tip.name.as_bytes().to_vec(), tip.oid.to_string())).collect();
                assert_eq!(held, now, "{} in {destination}", name_of(repository));
            }
        }
    }

    /// Restores a repository, and lets stock git compare it.
    pub fn prove(&self, number: u64) {
        let index = usize::try_from(number).expect("a small number") % self.repositories.len();
        let repository = &self.repositories[index];
        let copy = self.home.restore(&name_of(repository));
        judge::compare(&repository.path(), &copy).unwrap_or_else(|differences| panic!("{differences}"));
        fs::remove_dir_all(copy).expect("it can be removed");
    }
}

fn demand_whole(record: &SnapshotRecord, damaged: bool) -> String {
    assert!(!damaged && record.suspect.is_none(), "{record:?}");
    record.id.to_string()
}

/// Every chain ends in a snapshot that is listed, and is what its manifest says.
async fn chains(mut found: AnyConnection, memory: &Memory) {
    let rows = sqlx::query("SELECT snapshot, body FROM chains").fetch_all(&mut found).await.expect("they can be read");
    let mut ends = BTreeSet::new();
    for row in rows {
        let (snapshot, body): (String, Vec<u8>) = (row.get(0), row.get(1));
        let record = memory.catalogue.get(&snapshot).unwrap_or_else(|| panic!("{snapshot} is not listed"));
        let chain: Manifest = unpack_document(&body, &snapshot).expect("a chain can be read");
        let stored = memory.manifests.iter().find(|((_, key), _)| *key == record.key).map(|(_, manifest)| manifest);
        assert_eq!(Some(&chain), stored, "a chain continues what is stored");
        assert!(ends.insert(snapshot), "a snapshot is the end of one chain");
    }
    found.close().await.expect("it closes");
}
