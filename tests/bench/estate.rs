//! A large installation, as a watch meets it: many plans in force, many repositories known, nothing due.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use xopero::clock::{Clock, SystemClock};
use xopero::model::inventory::{ListedRepository, Remembered, RepositoryName, RepositoryState};
use xopero::model::{
    Address, Applied, DestinationId, DestinationName, PlanName, ProjectId, ProjectKey, RepoId, RunId, SnapshotId,
    SnapshotRecord,
};
use xopero::state::{StateLocation, StateStore};

use crate::home::XoperoHome;

/// Plans in force, each over its share of the repositories.
pub const PLANS: u32 = 500;

/// Repositories that were listed, each with a snapshot.
pub const REPOSITORIES: u32 = 10_000;

/// Minutes of an hour at which plans run.
const MINUTES: u32 = 45;

/// Nobody listens there, and nobody has to.
const NOWHERE: &str = "https://127.0.0.1:1";

/// The installation, in force.
pub fn large(project: &str, account: &str) -> XoperoHome {
    let home = XoperoHome::declaring(NOWHERE, project, 1, &[account], &plans(project));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(remember(&home.folder(), &ProjectKey::new(project).expect("a key")));
    home
}

/// Plans that are due twelve hours from here.
fn plans(project: &str) -> String {
    let hour = (SystemClock.now().to_zoned(TimeZone::UTC).hour() + 12) % 24;
    let mut text = String::new();
    for number in 0..PLANS {
        write!(
            text,
            "plan \"team-{number:03}\" {{\n    project \"{project}\" {{\n        repositories include=\"team-{number:03}-*\"\n    }}\n    \
             parts \"git\"\n    destination \"disk\"\n    retention \"all\"\n    \
             schedule \"{} {hour} * * *\" tz=\"UTC\" {{\n        jitter \"10m\"\n    }}\n}}\n",
            number % MINUTES,
        )
        .expect("strings take everything");
    }
    text
}

/// What an edit of the file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The schedule of one plan.
    OnePlan,
    /// The retention that all plans share: every snapshot is looked at for what becomes of it.
    AllPlans,
}

/// Saves the file with something else in it, which is safe to apply. Edits are numbered from 1.
pub fn save(home: &XoperoHome, edit: Edit, number: u32) {
    let path = home.folder().join("xopero.kdl");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    let words = |number: u32| match edit {
        Edit::OnePlan => format!("schedule \"{} {} ", number % MINUTES, text_hour(&text)),
        Edit::AllPlans => format!("keep last={}", 100 + number),
    };
    let (before, after) = (words(number - 1), words(number));
    assert!(text.contains(&before), "it was edited {} times", number - 1);
    std::fs::write(&path, text.replacen(&before, &after, 1)).expect("it can be written");
}

/// The hour of all schedules.
fn text_hour(text: &str) -> &str {
    let schedule = text.split("schedule \"").nth(1).and_then(|rest| rest.split(' ').nth(1));
    schedule.expect("plans have schedules")
}

/// Lets the state know repositories and snapshots, as if runs had met them.
async fn remember(folder: &Path, project: &ProjectKey) {
    let location = StateLocation::beside(folder);
    let state = StateStore::open_existing(&location, &SystemClock).await.expect("it opens").expect("it was applied");
    let applied = state.applied().await.expect("it can be read").expect("something is in force");
    let server = applied.uids[&Address::server(&"bb".parse().expect("a name"))];
    let now = SystemClock.now();
    let listed: BTreeMap<RepoId, Remembered> =
        (0..REPOSITORIES).map(|number| (RepoId(number.into()), repository(number, project, &applied, now))).collect();
    state.record_listing(server, project, now, &listed).await.expect("it is recorded");
    state.close().await;

    let options = SqliteConnectOptions::new().filename(location.directory().join("state.db"));
    let mut database = options.connect().await.expect("it opens");
    let mut transaction = database.begin().await.expect("it begins");
    for number in 0..REPOSITORIES {
        let record = snapshot(number, project, &applied, now);
        sqlx::query(
            "INSERT INTO snapshots (id, created, plan, plan_name, destination, server, repository, project, slug, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(record.id.to_string())
        .bind(record.created.as_millisecond())
        .bind(record.plan.to_string())
        .bind(record.plan_name.as_str())
        .bind(record.destination.to_string())
        .bind(record.server.to_string())
        .bind(record.repository.to_string())
        .bind(record.project.as_str())
        .bind(record.slug.as_str())
        .bind(serde_json::to_string(&record).expect("a record is plain data"))
        .execute(&mut *transaction)
        .await
        .expect("it is recorded");
    }
    transaction.commit().await.expect("it is recorded");
    database.close().await.expect("it closes");
}

fn slug(number: u32) -> xopero::model::RepoSlug {
    format!("team-{:03}-{number:05}", number % PLANS).parse().expect("a slug")
}

fn repository(number: u32, project: &ProjectKey, applied: &Applied, now: Timestamp) -> Remembered {
    let (project_id, slug) = (ProjectId(1), slug(number));
    Remembered {
        listed_in: project.clone(),
        last: ListedRepository {
            project: project.clone(),
            project_id,
            slug: slug.clone(),
            state: RepositoryState::Available,
            archived: false,
            stored: Some(1_000_000),
        },
        seen_at: now,
        before: RepositoryName { project_id, project: project.clone(), slug },
        generation: applied.generation,
    }
}

fn snapshot(number: u32, project: &ProjectKey, applied: &Applied, now: Timestamp) -> SnapshotRecord {
    let plan_name: PlanName = format!("team-{:03}", number % PLANS).parse().expect("a name");
    SnapshotRecord {
        id: SnapshotId::from_parts(u64::from(number), 1),
        run: RunId::from_parts(1, 1),
        plan: applied.uids[&Address::plan(&plan_name)],
        plan_name,
        destination: DestinationId::from_parts(1, 1),
        destination_name: DestinationName::new("disk").expect("a name"),
        server: applied.uids[&Address::server(&"bb".parse().expect("a name"))],
        repository: RepoId(number.into()),
        project: project.clone(),
        slug: slug(number),
        created: now,
        references: 12,
        packs: 3,
        bytes: 1_000_000,
        suspect: None,
        content: "00".repeat(32),
        key: format!("servers/x/repos/{number}/snapshots/x.json.zst.age"),
        manifest_bytes: 2_000,
    }
}
